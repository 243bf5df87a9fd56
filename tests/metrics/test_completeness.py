"""Completeness and the share of the bias: known answers, slow references, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from captum.attr import LRP, InputXGradient, IntegratedGradients
from torch import nn

from captum_ilin import ILIN, linearize
from captum_ilin.metrics import (
    MetricInputError,
    baseline_completeness,
    bias_share,
    declared_completeness,
)
from tests.fingerprint import untouched
from tests.networks import relu_mlp

# Sums of fewer than 100 numbers of size 1 in float64.
ROUNDING = 100 * 2**-52


def test_declared_completeness_is_its_definition() -> None:
    network, x = relu_mlp(4, 5, 3), torch.randn(6, 4).double()
    phi, offset, target = torch.randn(6, 4), torch.randn(6), [0, 1, 2, 0, 1, 2]
    found = declared_completeness(network, x, phi, offset=offset, target=target)
    for row in range(6):
        value = network(x[row : row + 1])[0, target[row]].item()
        expected = abs(math.fsum(phi[row].tolist()) + float(offset[row]) - value)
        assert abs(float(found.values[row]) - expected) <= ROUNDING


def test_baseline_completeness_is_its_definition() -> None:
    network, x, base = relu_mlp(4, 5, 3), torch.randn(6, 4).double(), torch.ones(1, 4)
    phi = torch.randn(6, 4)
    found = baseline_completeness(network, x, phi, baselines=base, target=1, relative=True)
    for row in range(6):
        value = network(x[row : row + 1])[0, 1].item()
        change = value - network(base.double())[0, 1].item()
        expected = abs(math.fsum(phi[row].tolist()) - change) / abs(value)
        assert float(found.values[row]) == pytest.approx(expected, rel=1e-12)


def test_a_tuple_of_inputs_adds_up_over_all_of_them() -> None:
    x = torch.randn(3, 2).double(), torch.randn(3, 4).double()
    found = baseline_completeness(
        lambda a, b: a.sum(1) + 2 * b.sum(1),
        x,
        (x[0], 2 * x[1]),
        baselines=tuple(map(torch.zeros_like, x)),
    )
    assert found.values.max() <= ROUNDING


def test_the_ledgers_bias_completes_ilin_to_rounding_and_a_wrong_one_does_not() -> None:
    network, x = relu_mlp(6, 8, 8, 3), torch.randn(20, 6).double()
    phi, bias = ILIN(network).attribute(x, target=2, return_bias=True)
    assert declared_completeness(network, x, phi, offset=bias, target=2).values.max() < 1e-13
    broken = declared_completeness(network, x, phi, offset=bias + 0.01, target=2)
    assert torch.allclose(broken.values, torch.tensor(0.01).double(), rtol=1e-6)


def test_on_relu_networks_ilin_is_input_x_gradient_and_lrp() -> None:
    network, x = relu_mlp(6, 8, 8, 3), torch.randn(10, 6).double()
    ilin = ILIN(network).attribute(x, target=1)
    gradient = InputXGradient(network).attribute(x.clone().requires_grad_(), target=1)
    assert torch.allclose(ilin, gradient, atol=1e-13)
    lrp = LRP(network).attribute(x.clone().requires_grad_(), target=1)
    # Captum's epsilon of 1e-9 stands in every denominator, some of which are near 0.
    assert torch.allclose(ilin, lrp, atol=1e-5)


def test_the_gap_of_integrated_gradients_falls_about_as_its_steps_grow() -> None:
    digits = pytest.importorskip("comparisons.models.digits", reason="needs scikit-learn")
    network = digits.cnn()
    x, target, zero = network.inputs[:12], network.targets[:12], torch.zeros(1, 1, 8, 8)
    method, steps = IntegratedGradients(network.model), [8, 32, 128, 512]
    gaps = [
        baseline_completeness(
            network.model,
            x,
            method.attribute(x, zero, target, n_steps=n, internal_batch_size=256),
            baselines=zero,
            target=target,
        ).mean()
        for n in steps
    ]
    assert gaps == sorted(gaps, reverse=True)
    slope = math.log(gaps[-1] / gaps[0]) / math.log(steps[-1] / steps[0])
    assert -1.4 < slope < -0.6


def test_relative_to_nothing_is_nan_with_a_reason() -> None:
    x = torch.zeros(1, 2)
    found = declared_completeness(lambda x: x.sum(1), x, x, offset=0.0, relative=True)
    assert found.values.isnan().all()
    assert found.reasons == ("F(x) is 0, so nothing is relative to it",)
    assert bias_share(lambda x: x.sum(1), x, 1.0).reasons == found.reasons


def test_attributions_that_are_not_finite_are_nan_with_a_reason() -> None:
    phi = torch.tensor([[float("inf"), 0.0], [0.0, 0.0]])
    found = declared_completeness(lambda x: x.sum(1), torch.ones(2, 2), phi, offset=2.0)
    assert found.reasons == ("an attribution, the offset or the output is not finite", None)


def test_the_share_of_the_bias_is_that_of_the_map() -> None:
    network, x = relu_mlp(6, 8, 3), torch.randn(5, 6).double()
    bias = linearize(network, x).bias(1)
    found = bias_share(network, x, bias, target=1)
    assert torch.allclose(found.values, (bias / network(x)[:, 1]).abs().detach())


def test_neither_the_rest_of_the_batch_nor_its_size_matters() -> None:
    network, x, phi = relu_mlp(6, 8, 3), torch.randn(7, 6).double(), torch.randn(7, 6)
    whole = declared_completeness(network, x, phi, offset=0.5, target=1)
    parts = declared_completeness(network, x, phi, offset=0.5, target=1, batch_size=2)
    alone = declared_completeness(network, x[3:4], phi[3:4], offset=0.5, target=1)
    assert torch.allclose(whole.values, parts.values, rtol=0, atol=ROUNDING)
    assert torch.allclose(whole.values[3:4], alone.values, rtol=0, atol=ROUNDING)


def test_what_does_not_fit_is_told() -> None:
    x = torch.ones(3, 2)
    with pytest.raises(MetricInputError, match=r"The offset has shape \(2,\); expected one "):
        declared_completeness(lambda x: x.sum(1), x, x, offset=torch.ones(2))
    with pytest.raises(MetricInputError, match=r"A baseline has shape \(2, 2\), its input "):
        baseline_completeness(lambda x: x.sum(1), x, x, baselines=torch.ones(2, 2))
    with pytest.raises(MetricInputError, match="expected one attribution for each input"):
        declared_completeness(lambda x: x.sum(1), x, x[:, :1], offset=0.0)


def test_the_model_is_left_as_it_was() -> None:
    network, x = nn.Sequential(nn.Linear(2, 3)), torch.ones(3, 2, requires_grad=True)
    with untouched(network, x):
        baseline_completeness(network, x, x, baselines=torch.zeros(1, 2), target=0)
