"""The categorical expansion by enumeration, against definitions written out and broken ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_ilin.companions.categorical import (
    Background,
    Expansion,
    Groups,
    class_gauge,
    energy,
    expand,
    terms_from,
    zero_sum_gauge,
)
from captum_ilin.companions.errors import CompanionInputError
from tests.companions.categorical_definitions import by_definition, page_gauge, share_of_order
from tests.fingerprint import untouched

L, Q = 4, 3
GROUPS = Groups.of_positions((L, Q))
MIXED = Groups.of_columns(9, {"a": [0, 1], "b": [8, 2, 5], "c": [7, 3, 6, 4]})
GAUGE, FULL = 1e-12, 1e-10  # asked for in float64; measured errors are near 1e-15


def random_terms(groups: Groups = GROUPS) -> dict[tuple[int, ...], Tensor]:
    """φ, h, J and one term of three positions, in no gauge."""
    q = groups.counts
    terms = {(): torch.randn(())}
    terms |= {(i,): torch.randn(q[i]) for i in range(len(q))}
    terms |= {(i, j): torch.randn(q[i], q[j]) for j in range(len(q)) for i in range(j)}
    terms[0, 1, 2] = torch.randn(q[0], q[1], q[2])
    return {key: term.double() for key, term in terms.items()}


def function_of(terms: dict[tuple[int, ...], Tensor], groups: Groups = GROUPS) -> Any:
    return lambda x: energy(terms, groups.decode(x))


def network(out: int = 2) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(L * Q, 16),
        nn.ReLU(),
        nn.Linear(16, 8),
        nn.Tanh(),
        nn.Linear(8, out),
    ).double()


def largest_difference(found: Expansion, terms: dict[tuple[int, ...], Tensor]) -> float:
    nothing = torch.zeros((), dtype=torch.float64)
    return max(
        float((term - terms.get(key, nothing)).abs().max()) for key, term in found.terms.items()
    )


def test_the_page_s_formulas_for_fields_and_couplings() -> None:
    phi, h, J = torch.randn(()), torch.randn(L, Q), torch.randn(L, L, Q, Q)
    phi, h, J = phi.double(), h.double(), J.double()
    found = zero_sum_gauge(terms_from(phi, h, J), GROUPS)
    new_phi, new_h, new_J = page_gauge(float(phi), h.numpy(), J.numpy())
    assert abs(float(found[()]) - new_phi) < GAUGE
    for i in range(L):
        np.testing.assert_allclose(found[(i,)].numpy(), new_h[i], atol=GAUGE)
        for j in range(i + 1, L):
            np.testing.assert_allclose(found[i, j].numpy(), new_J[i, j], atol=GAUGE)


@pytest.mark.parametrize("groups", [GROUPS, MIXED], ids=["sequence", "table"])
def test_known_terms_are_recovered(groups: Groups) -> None:
    terms = random_terms(groups)
    found = expand(function_of(terms, groups), groups, order=3)
    assert largest_difference(found, zero_sum_gauge(terms, groups)) < FULL
    assert largest_difference(found, terms) > 0.1  # in another gauge they are not these


@pytest.mark.parametrize("kind", ["uniform", "given"])
def test_terms_are_those_of_the_definition(kind: str) -> None:
    groups = MIXED
    rows = [torch.rand(count).double() for count in groups.counts]
    given = [row / row.sum() for row in rows]
    background = None if kind == "uniform" else Background.of(groups, given, name="mine")
    weights = [torch.full((n,), 1 / n, dtype=torch.float64) for n in groups.counts]
    weights = given if background else weights
    layer = nn.Linear(9, 1).double()

    def forward(x: Tensor) -> Tensor:
        return (3 * layer(x)).sin()

    found = expand(forward, groups, order=3, background=background, held=zeros(9))

    def one(a: tuple[int, ...]) -> float:
        return float(forward(groups.encode(torch.tensor([a])).double()).detach())

    slow = by_definition(one, [w.numpy() for w in weights], order=3)
    for key, table in slow.items():
        np.testing.assert_allclose(found.terms[key][..., 0].numpy(), table, atol=1e-12)
    for order in (1, 2, 3):
        share = share_of_order(slow, one, [w.numpy() for w in weights], order)
        assert abs(float(found.variance.shares[order]) - share) < 1e-10
    assert abs(sum(map(float, found.variance.shares.values())) - 1) < 1e-10
    assert abs(float(found.variance.rest)) < 1e-10
    other = [torch.tensor([0.9, 0.1]), *weights[1:]]
    elsewhere = expand(forward, groups, order=3, background=other, held=zeros(9))
    assert abs(float(elsewhere.variance.shares[1] - found.variance.shares[1])) > 1e-4


def zeros(*shape: int) -> Tensor:
    return torch.zeros(1, *shape, dtype=torch.float64)


def test_the_full_expansion_is_the_network() -> None:
    model = network().requires_grad_(False)
    found = expand(model, GROUPS, order=L)
    codes = torch.cartesian_prod(*[torch.arange(Q)] * L)
    x = GROUPS.encode(codes).double()
    assert float((found(x) - model(x)).abs().max()) < FULL
    assert float((found(x, order=2) - model(x)).abs().max()) > 1e-4
    assert found.evaluations == GROUPS.patterns == len(codes)


def test_every_term_averages_to_zero_over_each_of_its_positions() -> None:
    rows = torch.rand(L, Q).double()
    rows /= rows.sum(1, keepdim=True)
    found = expand(network(), GROUPS, order=3, background=rows)
    uniform = expand(network(), GROUPS, order=3)
    for key, term in found.terms.items():
        for axis, i in enumerate(key):
            mean = torch.tensordot(rows[i], term.movedim(axis, 0), dims=1)
            assert float(mean.abs().max()) < GAUGE
    wrong = torch.tensordot(rows[0], uniform.field(0), dims=1)
    assert float(wrong.abs().max()) > 1e-3  # a uniform gauge is not this one


def test_the_gauge_does_not_depend_on_where_constants_stood() -> None:
    terms = random_terms()
    moved = {key: term.clone() for key, term in terms.items()}
    shift, row = torch.randn(()).double(), torch.randn(Q).double()
    moved[0, 1] += row[:, None] + shift  # from J_01 to h_0, and to φ
    moved[(0,)] -= row
    moved[()] -= shift
    codes = torch.cartesian_prod(*[torch.arange(Q)] * L)
    assert float((energy(moved, codes) - energy(terms, codes)).abs().max()) < GAUGE
    one, other = zero_sum_gauge(terms, GROUPS), zero_sum_gauge(moved, GROUPS)
    assert max(float((one[key] - other[key]).abs().max()) for key in one) < GAUGE
    assert float((moved[0, 1] - terms[0, 1]).abs().max()) > 0.1
    again = zero_sum_gauge(one, GROUPS)
    assert max(float((one[key] - again[key]).abs().max()) for key in one) < GAUGE
    assert float((energy(one, codes) - energy(terms, codes)).abs().max()) < GAUGE


def test_a_network_s_hidden_constants_do_not_change_its_terms() -> None:
    model = network()
    one = expand(model, GROUPS, order=2)
    with torch.no_grad():
        first = model[1]
        extra = torch.randn(16).double()
        first.weight[:, :Q] += extra[:, None]
        first.bias -= extra
    other = expand(model, GROUPS, order=2)
    assert largest_difference(other, one.terms) < GAUGE


def test_the_class_gauge() -> None:
    model = network(3)

    def shifted(x: Tensor) -> Tensor:
        return model(x) + 5 * x.flatten(1)[:, :1]  # alike for all classes

    one = expand(model, GROUPS, order=2, class_gauge=True, held=zeros(L, Q))
    other = expand(shifted, GROUPS, order=2, class_gauge=True, held=zeros(L, Q))
    assert largest_difference(other, one.terms) < GAUGE
    assert (
        largest_difference(
            expand(shifted, GROUPS, held=zeros(L, Q)), expand(model, GROUPS).terms
        )
        > 1
    )
    plain = expand(model, GROUPS, order=2)
    after = {key: class_gauge(term) for key, term in plain.terms.items()}
    assert largest_difference(one, after) < GAUGE
    assert float(one.phi.sum().abs()) < GAUGE


def test_a_layer_and_a_target() -> None:
    model = network()
    hidden = expand(model, GROUPS, order=2, layer=model[4])
    assert hidden.phi.shape == (8,)
    assert hidden.field("1").shape == (Q, 8)
    assert hidden.coupling(2, 0).shape == (Q, Q, 8)
    below = expand(model[:5], GROUPS, order=2)
    assert largest_difference(hidden, below.terms) < GAUGE
    one = expand(model, GROUPS, order=2, target=1)
    assert (
        largest_difference(one, {k: t[..., 1] for k, t in expand(model, GROUPS).terms.items()})
        < GAUGE
    )


def test_positions_last_or_first_and_several_dimensions() -> None:
    terms = random_terms()
    first = Groups.of_positions((Q, L), categories_dim=0)
    one = expand(function_of(terms), GROUPS)
    other = expand(function_of(terms, first), first)
    assert largest_difference(other, one.terms) < GAUGE
    square = Groups.of_positions((2, 2, Q))
    third = expand(lambda x: energy(terms, GROUPS.decode(x.reshape(-1, L, Q))), square)
    assert largest_difference(third, one.terms) < GAUGE
    codes = torch.randint(Q, (5, L))
    assert torch.equal(first.encode(codes), GROUPS.encode(codes).transpose(1, 2))
    assert torch.equal(first.decode(first.encode(codes)), codes)


def test_some_positions_and_letters_with_the_rest_held() -> None:
    model, x = (
        network().requires_grad_(False),
        GROUPS.encode(torch.tensor([[0, 1, 2, 0]])).double(),
    )
    part = GROUPS.only([1, 3], letters="02")
    found = expand(model, part, order=2, held=x)
    for a, first in enumerate((0, 2)):
        for b, second in enumerate((0, 2)):
            whole = GROUPS.encode(torch.tensor([[0, first, 2, second]])).double()
            assert torch.equal(part.encode(torch.tensor([[a, b]]), x), whole)
            assert float((found(whole) - model(whole)).abs().max()) < FULL
    elsewhere = GROUPS.encode(torch.tensor([[2, 1, 2, 0]])).double()
    other = expand(model, part, order=2, held=elsewhere)
    assert largest_difference(other, found.terms) > 1e-3


def test_patterns_have_the_network_s_dtype_in_a_function_too() -> None:
    model = network()  # in float64
    found = expand(lambda x: model(x).tanh(), GROUPS)
    assert found.phi.shape == (2,)
    single = expand(model.float(), GROUPS, order=L)
    x = GROUPS.encode(torch.tensor([[0, 1, 2, 0]]))
    torch.testing.assert_close(single(x).float(), model(x).detach(), rtol=1e-4, atol=1e-5)


def test_strengths_are_the_variances_of_the_couplings() -> None:
    terms = random_terms()
    found = expand(function_of(terms), GROUPS)
    strengths = found.strengths()
    assert torch.equal(strengths, strengths.T)
    J = found.coupling(0, 3)
    assert torch.equal(found.coupling(3, 0), J.T)
    assert not torch.equal(J, J.T)
    assert abs(float(strengths[0, 3]) - float(J.square().mean())) < 1e-12
    total = float(strengths.triu().sum())
    assert abs(total - float(found.variance.by_order[2])) < 1e-12


def test_order_0_and_orders_beyond_the_positions() -> None:
    terms = random_terms()
    flat = expand(function_of(terms), GROUPS, order=0)
    assert list(flat.terms) == [()]
    assert abs(float(flat.phi) - float(zero_sum_gauge(terms, GROUPS)[()])) < GAUGE
    x = GROUPS.encode(torch.tensor([[0, 0, 0, 0], [1, 2, 0, 1]]))
    assert flat(x).tolist() == [float(flat.phi)] * 2
    assert expand(function_of(terms), GROUPS, order=9).order == L


def test_a_constant_has_no_shares() -> None:
    found = expand(lambda x: x.new_ones(len(x)), GROUPS)
    assert float(found.variance.total) == 0
    assert all(share.isnan() for share in found.variance.shares.values())
    assert found.variance.rest.isnan()


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails: bool) -> None:
    model = network()
    layer = nn.Linear(2, 2) if fails else model[2]  # one that never runs
    with untouched(model):
        if fails:
            with pytest.raises(CompanionInputError, match="ran 0 times"):
                expand(model, GROUPS, layer=layer)
        else:
            expand(model, GROUPS, layer=layer, samples=4)
    assert not layer._forward_hooks
