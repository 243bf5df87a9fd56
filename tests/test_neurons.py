"""``NeuronInstanceWiseLinearization``: n(x) = W x + b of one hidden unit.

References come from products of the network's own matrices below the unit.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import GradientAttribution, NeuronAttribution, NeuronGradient, NoiseTunnel
from torch import Tensor, nn

from captum_ilin import NeuronILIN, NeuronInstanceWiseLinearization, linearize
from tests.networks import (
    ConvNet,
    TinyTransformer,
    TwoInputs,
    dense_relu_map,
    relu_mlp,
    smooth_mlp,
)

BATCH = 4
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}  # float64, sums of some ten products of order one
EVERYTHING = {"return_convergence_delta": True, "return_bias": True}


@pytest.fixture
def network() -> nn.Sequential:
    return relu_mlp(3, 6, 7, 5)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 3, dtype=torch.float64)


def test_is_a_captum_neuron_method(network: nn.Module) -> None:
    assert NeuronILIN is NeuronInstanceWiseLinearization
    assert issubclass(NeuronILIN, NeuronAttribution)
    assert issubclass(NeuronILIN, GradientAttribution)
    assert NeuronILIN(network, network[0]).multiplies_by_inputs is True
    assert NeuronILIN(network, network[0]).has_convergence_delta() is True
    with pytest.raises(NotImplementedError, match="attribute_future is not implemented"):
        NeuronILIN(network, network[0]).attribute_future()


def test_arguments_are_in_the_order_of_captum_s() -> None:
    ours = inspect.signature(NeuronILIN.attribute).parameters
    captums = list(inspect.signature(NeuronGradient.attribute).parameters)
    assert [n for n, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == captums


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
@pytest.mark.parametrize("multiplied", [True, False], ids=["W∘x", "W"])
def test_a_unit_of_every_layer_of_a_relu_network(
    network: nn.Sequential, x: Tensor, position: int, at_input: bool, multiplied: bool
) -> None:
    slope, intercept = dense_relu_map(network[: position + (not at_input)], x)
    attributions, delta, bias = NeuronILIN(
        network, network[position], None, multiplied
    ).attribute(x, 2, attribute_to_neuron_input=at_input, **EVERYTHING)
    torch.testing.assert_close(attributions, slope[:, 2] * (x if multiplied else 1), **ROUNDING)
    torch.testing.assert_close(bias, intercept[:, 2], **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


@pytest.mark.parametrize(
    ("selector", "units"),
    [
        (3, [3]),
        (-1, [5]),
        ((3,), [3]),
        (np.int64(3), [3]),
        (slice(1, 4), [1, 2, 3]),
        ((slice(1, 6, 2),), [1, 3, 5]),
        (lambda value: value[:, 4], [4]),
        (lambda value: value[:, :2].sum(1), [0, 1]),
    ],
)
def test_every_form_of_selector(
    network: nn.Sequential, x: Tensor, selector: Any, units: list[int]
) -> None:
    slope, intercept = dense_relu_map(network[:2], x)
    attributions, bias = NeuronILIN(network, network[1]).attribute(
        x, selector, return_bias=True
    )
    torch.testing.assert_close(attributions, slope[:, units].sum(1) * x, **ROUNDING)
    torch.testing.assert_close(bias, intercept[:, units].sum(1), **ROUNDING)


@pytest.mark.parametrize(
    "selector", [(1, 2, 3), (slice(0, 2), 1, slice(None)), (-1, slice(2, 5), 0)]
)
def test_units_of_several_dimensions(selector: Any) -> None:
    model, x = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    below = lambda x: model.pool(model.relu(model.norm(model.first(x))))  # noqa: E731

    def unit(x: Tensor) -> Tensor:
        return below(x)[(slice(None), *selector)].reshape(len(x), -1).sum(1)

    expected = linearize(unit, x)
    attributions, delta, bias = NeuronILIN(model, model.pool).attribute(
        x, selector, **EVERYTHING
    )
    torch.testing.assert_close(attributions, expected.weight() * x, **ROUNDING)
    torch.testing.assert_close(bias, expected.bias(), **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_a_smooth_unit_is_frozen_too(x: Tensor) -> None:
    network = smooth_mlp()
    attributions, bias = NeuronILIN(network, network[1]).attribute(x, 1, return_bias=True)
    expected = linearize(network[:2], x)
    torch.testing.assert_close(attributions, expected.weight(1) * x, **ROUNDING)
    torch.testing.assert_close(bias, expected.bias(1), **ROUNDING)
    gradient = NeuronGradient(network, network[1]).attribute(x.requires_grad_(), 1) * x
    assert (gradient - attributions).abs().max() > 1e-3


def test_functions_choose_among_several_tensors() -> None:
    model, x = TinyTransformer(batch_first=False), torch.randn(3, 5, 8, dtype=torch.float64)
    layer = model.get_submodule("layers.layers.1")
    # Sequence first: the second dimension is the batch.
    attributions, delta, bias = NeuronILIN(model, layer).attribute(
        x, lambda value: value[4, :, 2], **EVERYTHING
    )
    assert attributions.shape == x.shape
    torch.testing.assert_close(delta, torch.zeros_like(delta), rtol=0, atol=1e-12)
    with torch.no_grad():
        value = model.layers((x + model.positions).transpose(0, 1))[4, :, 2]
    torch.testing.assert_close(attributions.sum((1, 2)) + bias, value, rtol=1e-11, atol=1e-12)


def test_several_inputs_and_additional_arguments() -> None:
    model, a = TwoInputs().double(), torch.randn(BATCH, 3, dtype=torch.float64)
    b = torch.randn(BATCH, 2, dtype=torch.float64)
    (for_a, for_b), bias = NeuronILIN(model, model.head).attribute(
        (a, b),
        1,
        (torch.ones(BATCH, 3).double(), 3),
        attribute_to_neuron_input=True,
        return_bias=True,
    )
    with torch.no_grad():
        gate = (model.left(a) + model.right(b) > 0)[:, 1].double()
    torch.testing.assert_close(for_a, gate[:, None] * model.left.weight[1] * a, **ROUNDING)
    torch.testing.assert_close(for_b, gate[:, None] * model.right.weight[1] * b, **ROUNDING)
    shift = gate * (model.left.bias[1] + model.right.bias[1])
    torch.testing.assert_close(bias, shift.detach(), **ROUNDING)


@pytest.mark.parametrize(("call", "depth"), [(0, 2), (1, 4), (-1, 4)])
def test_a_layer_called_several_times_is_read_at_one_call(
    x: Tensor, call: int, depth: int
) -> None:
    relu = nn.ReLU(inplace=True)
    network = nn.Sequential(
        nn.Linear(3, 6), relu, nn.Linear(6, 7), relu, nn.Linear(7, 2)
    ).double()
    spelled = nn.Sequential(network[0], nn.ReLU(), network[2], nn.ReLU())
    slope, _ = dense_relu_map(spelled[:depth], x)
    attributions = NeuronILIN(network, relu).attribute(x, 4, call=call)
    torch.testing.assert_close(attributions, slope[:, 4] * x, **ROUNDING)


def test_what_the_forward_function_returns_does_not_matter(
    network: nn.Sequential, x: Tensor
) -> None:
    expected = NeuronILIN(network, network[1]).attribute(x, 2)
    found = NeuronILIN(lambda x: {"value": network(x), "n": 3}, network[1]).attribute(x, 2)
    torch.testing.assert_close(found, expected, **ROUNDING)


@pytest.mark.parametrize("wrapped", [False, True], ids=["given ids", "DataParallel"])
def test_data_parallel_on_the_cpu_is_honoured(
    network: nn.Sequential, x: Tensor, wrapped: bool
) -> None:
    model = nn.DataParallel(network) if wrapped else network
    method = NeuronILIN(model, network[1], device_ids=None if wrapped else [0])
    expected = NeuronILIN(network, network[1]).attribute(x, 1)
    torch.testing.assert_close(method.attribute(x, 1), expected, **ROUNDING)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients(network: nn.Sequential, x: Tensor, caller: Any) -> None:
    expected = NeuronILIN(network, network[1]).attribute(x, 2, **EVERYTHING)
    with caller():
        found = NeuronILIN(network, network[1]).attribute(x.clone(), 2, **EVERYTHING)
    torch.testing.assert_close(found, expected, **ROUNDING)


def test_noise_tunnel_accepts_it(network: nn.Sequential, x: Tensor) -> None:
    method = NeuronILIN(network, network[1])
    still = NoiseTunnel(method).attribute(x, nt_samples=3, stdevs=0.0, neuron_selector=2)
    torch.testing.assert_close(still, method.attribute(x, 2), **ROUNDING)
