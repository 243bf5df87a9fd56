"""Local fidelity: exact inside the region, and the region told apart from its outside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import TANGENT_RULES, linearize
from captum_ilin.metrics import MetricInputError, local_fidelity
from captum_ilin.metrics.axiomatic.fidelity import _directions
from tests.fingerprint import untouched
from tests.networks import ConvNet, TwoInputs, dense_relu_map, relu_mlp, smooth_mlp


def pattern(network: nn.Sequential, x: Tensor) -> list[bool]:
    """Which units are active at one example, layer by layer."""
    found: list[bool] = []
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            found += (x[0] > 0).tolist()
    return found


def slow(network: nn.Sequential, x: Tensor, target: int, radius: float, samples: int):
    """Error and share inside from activation patterns and explicit matrix products."""
    errors, shares = [], []
    for row in x:
        W, b = dense_relu_map(network, row[None])
        inside = []
        for direction in _directions(samples, row[None], 0):
            there = row + radius * row.norm() * direction
            if pattern(network, there[None]) == pattern(network, row[None]):
                value = network(there[None])[0, target].item()
                inside.append(abs(value - float(W[0, target] @ there + b[0, target])))
        errors.append(max(inside) if inside else float("nan"))
        shares.append(len(inside) / samples)
    return torch.tensor(errors).double(), torch.tensor(shares, dtype=torch.float64)


def test_inside_is_where_the_activation_pattern_is_the_same() -> None:
    network, x = relu_mlp(5, 12, 12, 3), torch.randn(12, 5).double()
    found = local_fidelity(network, x, target=1, radius=0.1, samples=24)
    _, inside = slow(network, x, 1, 0.1, 24)
    assert 0.1 < inside.mean() < 0.9
    # A unit whose way to the output is shut may flip without changing W.
    assert (found.inside.values >= inside - 1e-12).all()
    assert torch.allclose(found.inside.values, inside, atol=0.25)
    defined = ~found.error.values.isnan()
    assert found.error.values[defined].max() < 1e-13


def test_one_hidden_layer_has_exactly_the_region_of_its_pattern() -> None:
    network, x = relu_mlp(5, 20, 3), torch.randn(12, 5).double()
    found = local_fidelity(network, x, target=1, radius=0.1, samples=24)
    error, inside = slow(network, x, 1, 0.1, 24)
    assert torch.equal(found.inside.values, inside)
    assert torch.equal(found.error.values.isnan(), error.isnan())


def test_pooled_convolutions_have_regions_too() -> None:
    network, x = ConvNet(), torch.randn(4, 3, 12, 12).double()
    found = local_fidelity(network, x, target=1, radius=2e-3, samples=16)
    assert 0.1 < found.inside.mean() < 1
    # Values near 1 after sums of some 100 products in four layers.
    assert found.error.values[~found.error.values.isnan()].max() < 1e-12


def test_a_smooth_network_has_no_region_but_the_point() -> None:
    network, x = smooth_mlp(), torch.randn(4, 3).double()
    for rules in (TANGENT_RULES, None):
        more = {} if rules is None else {"rules": rules}
        found = local_fidelity(network, x, target=0, radius=1e-3, samples=8, **more)
        assert torch.equal(found.inside.values, torch.zeros(4).double())
        assert set(found.error.reasons) == {
            "no perturbation stays inside the region: W has changed at every one"
        }


def test_a_jump_between_equal_slopes_is_an_error() -> None:
    x = torch.full((1, 2), 0.9999, dtype=torch.float64)
    found = local_fidelity(lambda x: x.sum(1) + x.floor().sum(1), x, radius=0.01)
    assert found.inside.values == 1
    assert found.error.values >= 1


def test_a_whole_network_is_inside_if_it_is_linear() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(5, 4)
    found = local_fidelity(layer, x, target=2, radius=10.0, relative=True)
    assert torch.equal(found.inside.values, torch.ones(5).double())
    assert found.error.values.max() < 1e-4


def test_tuples_targets_and_further_arguments_go_by_example() -> None:
    network = TwoInputs().double()
    x = torch.randn(4, 3).double(), torch.randn(4, 2).double()
    shift, target = torch.randn(4, 3).double(), torch.tensor([0, 1, 2, 0])
    more = {"radius": 0.01, "samples": 6}
    whole = local_fidelity(
        network, x, target=target, additional_forward_args=(shift, 2), batch_size=5, **more
    )
    alone = local_fidelity(
        network,
        (x[0][2:3], x[1][2:3]),
        target=2,
        additional_forward_args=(shift[2:3], 2),
        **more,
    )
    assert torch.equal(whole.inside.values[2:3], alone.inside.values)
    assert whole.error.values.nanmean() < 1e-13


def test_zero_has_no_length() -> None:
    found = local_fidelity(nn.Linear(2, 1), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert found.inside.reasons == ("x is 0, so a length relative to it is 0", None)
    assert found.error.reasons == found.inside.reasons


def test_bad_input_is_told_and_the_model_is_left_as_it_was() -> None:
    with pytest.raises(MetricInputError, match=r"radius is -1.0 and samples is 32; expected"):
        local_fidelity(nn.Linear(2, 1), torch.ones(1, 2), radius=-1.0)
    network, x = relu_mlp(3, 4, 2), torch.randn(2, 3).double().requires_grad_()
    with untouched(network, x):
        local_fidelity(network, x, target=0)
    assert linearize(network, x).weight(0).shape == (2, 3)
