"""The zero-sum gauge of W and b."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import StoredMap, linearize
from captum_ilin.companions.categorical import Background, Groups, expand, zero_sum_map
from captum_ilin.companions.errors import CompanionInputError

L, Q = 3, 4
GROUPS = Groups.of_positions((L, Q))
GAUGE = 1e-12


def network(features: int = L * Q, out: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, out)
    ).double()


def patterns(count: int = 5, groups: Groups = GROUPS) -> Tensor:
    codes = torch.stack([torch.randint(q, (count,)) for q in groups.counts], 1)
    return groups.encode(codes).double()


@pytest.mark.parametrize("target", [1, None], ids=["one output", "every output"])
def test_the_network_s_value_does_not_change(target: int | None) -> None:
    model, x = network().requires_grad_(False), patterns()
    found = zero_sum_map(linearize(model, x), GROUPS, target)
    value = model(x) if target is None else model(x)[:, target]
    assert float((found.outputs - value).abs().max()) < GAUGE
    assert found.weight.shape == (5, *([2] if target is None else []), L, Q)
    assert found.bias.shape == value.shape
    assert float(found.weight.sum(-1).abs().max()) < GAUGE


def test_the_formulas() -> None:
    model, x = network(), patterns(2)
    affine_map = linearize(model, x)
    W, b = affine_map.weight(0), affine_map.bias(0)
    assert isinstance(W, Tensor)
    found = zero_sum_map(affine_map, GROUPS, 0)
    for row in range(2):
        bias = float(b[row])
        for i in range(L):
            mean = sum(float(W[row, i, a]) for a in range(Q)) / Q
            bias += mean
            for a in range(Q):
                assert (
                    abs(float(found.weight[row, i, a]) - (float(W[row, i, a]) - mean)) < GAUGE
                )
        assert abs(float(found.bias[row]) - bias) < GAUGE


def test_constants_hidden_in_the_first_layer_do_not_count() -> None:
    model, x = network(), patterns()
    before = linearize(model, x)
    plain, gauged = before.weight(0), zero_sum_map(before, GROUPS, 0)
    with torch.no_grad():
        extra = torch.randn(16).double()
        model[1].weight[:, :Q] += extra[:, None]
        model[1].bias -= extra
    after = linearize(model, x)
    other = zero_sum_map(after, GROUPS, 0)
    assert float((other.weight - gauged.weight).abs().max()) < GAUGE
    assert float((other.bias - gauged.bias).abs().max()) < GAUGE
    moved = after.weight(0)
    assert isinstance(moved, Tensor)
    assert isinstance(plain, Tensor)
    assert float((moved - plain).abs().max()) > 0.01  # W itself is another


def test_another_background() -> None:
    model, x = network().requires_grad_(False), patterns()
    rows = torch.rand(L, Q).double()
    rows /= rows.sum(1, keepdim=True)
    background = Background.of(GROUPS, rows, name="mine")
    found = zero_sum_map(linearize(model, x), GROUPS, 1, background=background)
    assert float((found.outputs - model(x)[:, 1]).abs().max()) < GAUGE
    assert float((found.weight * rows).sum(-1).abs().max()) < GAUGE
    assert float(found.weight.sum(-1).abs().max()) > 1e-3


def test_columns_of_a_table_beside_a_number() -> None:
    groups = Groups.of_columns(6, {"colour": [4, 0, 2], "size": [5, 1]})
    model = network(6).requires_grad_(False)
    x = patterns(3, groups)
    x[:, 3] = torch.randn(3).double()
    affine_map = linearize(model, x)
    found, W = zero_sum_map(affine_map, groups, 0), affine_map.weight(0)
    assert isinstance(W, Tensor)
    assert torch.equal(found.weight[:, 3], W[:, 3])
    assert float(found.weight[:, [4, 0, 2]].sum(1).abs().max()) < GAUGE
    assert float((found.outputs - model(x)[:, 0]).abs().max()) < GAUGE


def test_a_stored_map() -> None:
    affine_map = linearize(network(), patterns())
    found = zero_sum_map(StoredMap.of(affine_map, targets=[1]), GROUPS, 1)
    wanted = zero_sum_map(affine_map, GROUPS, 1)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_of_a_linear_network_it_is_the_expansion() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(L * Q, 1)).double()
    rows = torch.rand(L, Q).double()
    rows /= rows.sum(1, keepdim=True)
    expansion = expand(model, GROUPS, order=1, target=0, background=rows)
    found = zero_sum_map(linearize(model, patterns(1)), GROUPS, 0, background=rows)
    assert float((found.weight[0] - expansion.fields()).abs().max()) < GAUGE
    assert abs(float(found.bias[0] - expansion.phi)) < GAUGE


def test_of_a_network_with_gates_it_is_not_the_expansion() -> None:
    model = network()
    expansion = expand(model, GROUPS, order=1, target=0)
    found = zero_sum_map(linearize(model, patterns(1)), GROUPS, 0)
    assert float((found.weight[0] - expansion.fields()).abs().max()) > 0.01


def test_inputs_that_are_not_one_hot_are_refused() -> None:
    x = patterns(2)
    x[1, 2] = 0.25
    with pytest.raises(CompanionInputError) as caught:
        zero_sum_map(linearize(network(), x), GROUPS, 0)
    assert str(caught.value) == (
        "Example 1 is not one-hot in group '2': expected one 1 and otherwise 0, but got "
        "0.25, 0.25, 0.25, 0.25. Declare other groups, or pass inputs before any scaling or "
        "embedding."
    )


def test_several_inputs_are_refused() -> None:
    model = network()
    affine_map = linearize(lambda x, y: model(x) + y, (patterns(1), torch.ones(1, 2).double()))
    with pytest.raises(CompanionInputError) as caught:
        zero_sum_map(affine_map, GROUPS, 0)
    assert str(caught.value) == (
        "The map has 2 inputs; expected one tensor, of which the groups are declared. "
        "Linearize a function of that input alone."
    )
