"""Sensitivity-n: 1 for linear functions, and the correlation of its definition."""

from __future__ import annotations

import pytest
import torch
from captum.attr import InputXGradient
from scipy.stats import pearsonr
from torch import nn

from captum_ilin.metrics import MetricInputError, sensitivity_n
from captum_ilin.metrics.axiomatic.sensitivity import _drawn
from captum_ilin.metrics.features import Features
from tests.fingerprint import untouched
from tests.networks import relu_mlp


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_a_linear_function_has_one_at_every_size(size: int) -> None:
    layer, x, base = nn.Linear(10, 2).double(), torch.randn(4, 10), torch.randn(1, 10)
    phi = layer.weight[1].detach() * (x - base)
    found = sensitivity_n(layer, x.double(), phi, sizes=size, target=1, baselines=base.double())
    assert torch.allclose(found.values, torch.ones(4).double(), atol=1e-12)


def test_it_is_its_definition() -> None:
    network, x, phi = relu_mlp(6, 8, 3), torch.randn(3, 6).double(), torch.randn(3, 6)
    base = torch.randn(3, 6).double()
    found = sensitivity_n(
        network, x, phi, sizes=(2, 4), target=[0, 1, 2], baselines=base, subsets=15, seed=3
    )
    generator = torch.Generator().manual_seed(3)
    present = torch.ones(3, 6, dtype=torch.bool)
    draws = [_drawn(15, present, size, generator)[0] for size in (2, 4)]
    for row in range(3):
        each = []
        for drawn in draws:
            sums, changes = [], []
            for subset in drawn:
                removed = x[row].clone()
                for feature in subset.nonzero().flatten().tolist():
                    removed[feature] = base[row, feature]
                sums.append(sum(phi[row, subset].tolist()))
                changes.append((network(x[row]) - network(removed))[row].item())
            each.append(pearsonr(sums, changes).statistic)
        assert float(found.values[row]) == pytest.approx(sum(each) / 2, rel=1e-9)


def test_drawn_subsets_have_their_size() -> None:
    present = torch.ones(2, 7, dtype=torch.bool)
    drawn = _drawn(50, present, 3, torch.Generator().manual_seed(0))
    assert drawn.sum(2).tolist() == [[3] * 50]


def test_masked_values_are_removed_together() -> None:
    layer, x = nn.Linear(4, 1).double(), torch.randn(3, 4).double()
    mask, phi = torch.tensor([[0, 0, 1, 2]]), layer.weight.detach() * x
    found = sensitivity_n(layer, x, phi, sizes=1, feature_mask=mask)
    assert torch.allclose(found.values, torch.ones(3).double(), atol=1e-12)
    with pytest.raises(MetricInputError, match=r"sizes holds \[3\]; expected numbers from 1 "):
        sensitivity_n(layer, x, phi, sizes=3, feature_mask=mask)


def test_masks_of_each_example_are_its_own() -> None:
    layer, x = nn.Linear(6, 1).double(), torch.randn(3, 6).double()
    phi = torch.randn(3, 6)
    mask = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5], [7, 7, 7, 1, 1, 0]])
    whole = sensitivity_n(layer, x, phi, sizes=2, feature_mask=mask, seed=4)
    for row in range(3):
        one = slice(row, row + 1)
        alone = sensitivity_n(layer, x[one], phi[one], sizes=2, feature_mask=mask[one], seed=4)
        torch.testing.assert_close(alone.values, whole.values[one], rtol=1e-9, atol=0)
    drawn = _drawn(20, Features(x, mask).present(), 2, torch.Generator().manual_seed(0))
    assert drawn.sum(2).tolist() == [[2] * 20] * 3
    assert not (drawn & ~Features(x, mask).present()[:, None]).any()
    with pytest.raises(
        MetricInputError, match=r"sizes holds \[3\]; expected numbers from 1 to 2"
    ):
        sensitivity_n(layer, x, phi, sizes=3, feature_mask=mask)


def test_a_number_is_a_baseline() -> None:
    layer, x, phi = nn.Linear(6, 1).double(), torch.randn(3, 6).double(), torch.randn(3, 6)
    number = sensitivity_n(layer, x, phi, sizes=2, baselines=0.5).values
    filled = sensitivity_n(layer, x, phi, sizes=2, baselines=torch.full((1, 6), 0.5)).values
    assert torch.equal(number, filled)


def test_a_flipped_sign_gives_minus_one() -> None:
    layer, x = nn.Linear(4, 1).double(), torch.randn(3, 4).double()
    found = sensitivity_n(layer, x, -layer.weight.detach() * x, sizes=(1, 2))
    assert torch.allclose(found.values, -torch.ones(3).double(), atol=1e-12)


def test_constant_sides_are_nan_with_a_reason() -> None:
    x = torch.rand(2, 4)
    constant = sensitivity_n(lambda x: x.sum(1), x, torch.ones(2, 4) / 3, sizes=(1, 2))
    assert constant.reasons[0] == (
        "the summed attributions, or the changes of the output, are not finite or the same for "
        "every subset of 1, 2 features"
    )
    unmoved = sensitivity_n(lambda x: x.sum(1) * 0 + 0.1, x, x, sizes=2)
    assert unmoved.nan_count == 2


def test_neither_the_rest_of_the_batch_nor_its_size_matters() -> None:
    network, x = relu_mlp(6, 8, 3), torch.randn(5, 6).double().requires_grad_()
    phi = InputXGradient(network).attribute(x, target=1).detach()
    with untouched(network, x):
        whole = sensitivity_n(network, x, phi, sizes=(1, 3), target=1)
    parts = sensitivity_n(network, x, phi, sizes=(1, 3), target=1, batch_size=7)
    alone = sensitivity_n(network, x[2:3], phi[2:3], sizes=(1, 3), target=1)
    assert torch.allclose(whole.values, parts.values, atol=1e-12)
    assert torch.allclose(whole.values[2:3], alone.values, atol=1e-12)
    assert (whole.values > 0).all()


def test_bad_input_is_told() -> None:
    x = torch.rand(2, 4)
    with pytest.raises(MetricInputError, match=r"sizes holds \[0, 9\]; expected numbers from"):
        sensitivity_n(lambda x: x.sum(1), x, x, sizes=(0, 1, 9))
    with pytest.raises(MetricInputError, match="subsets is 1; expected 2 or more"):
        sensitivity_n(lambda x: x.sum(1), x, x, sizes=1, subsets=1)
