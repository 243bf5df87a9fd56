"""The categorical expansion by sampling: unbiased, with standard errors that cover."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_ilin.companions.categorical import (
    Background,
    Expansion,
    Groups,
    energy,
    expand,
    zero_sum_gauge,
)
from captum_ilin.companions.categorical.sampling import _Moments

L, Q, SAMPLES, SEEDS = 5, 3, 120, 40
GROUPS = Groups.of_positions((L, Q))
ROWS = torch.tensor([[0.5, 0.3, 0.2]] * L, dtype=torch.float64)
BACKGROUNDS = {"uniform": None, "given": Background.of(GROUPS, ROWS, name="given")}


def known_terms() -> dict[tuple[int, ...], Tensor]:
    """φ, every h and J, and two terms of three positions, so that no J is without noise."""
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    terms = {(): 20 + drawn()} | {(i,): drawn(Q) for i in range(L)}
    terms |= {(i, j): drawn(Q, Q) for j in range(L) for i in range(j)}
    return terms | {(0, 1, 2): drawn(Q, Q, Q), (2, 3, 4): drawn(Q, Q, Q)}


TERMS = known_terms()


def forward(x: Tensor) -> Tensor:
    return energy(TERMS, GROUPS.decode(x))


@pytest.fixture(scope="module", params=BACKGROUNDS)
def runs(request: Any) -> tuple[Expansion, list[Expansion]]:
    """The exact expansion and one of each seed, of which "given" draws in several batches."""
    background = BACKGROUNDS[request.param]
    batch = 400 if request.param == "given" else None
    return expand(forward, GROUPS, order=L, background=background), [
        expand(
            forward, GROUPS, background=background, samples=SAMPLES, seed=seed, batch_size=batch
        )
        for seed in range(SEEDS)
    ]


def z_scores(
    exact: Expansion, found: Expansion, *, shrunk: float = 1.0, order: int | None = None
) -> Tensor:
    """Of every entry of every term that has noise; ``shrunk`` breaks the standard errors."""
    assert found.standard_errors is not None
    each = []
    for key, term in found.terms.items():
        errors = found.standard_errors[key]
        if (
            order in (None, len(key)) and float(errors.max()) > 1e-10
        ):  # J of positions that no third joins have none
            each.append(((term - exact.terms[key]) / (errors * shrunk)).flatten())
    return torch.cat(each)


def covered(scores: Tensor) -> tuple[float, float]:
    """The share of |z| < 1.96, and how far from 95 % it may be by chance.

    Entries of one term share their samples: a term, not an entry, counts as a trial, of which a
    seed has at least ten. Four deviations of a binomial.
    """
    trials = len(scores) * 10
    return float((scores.abs() < 1.96).double().mean()), 4 * math.sqrt(0.95 * 0.05 / trials)


def test_standard_errors_cover(runs: tuple[Expansion, list[Expansion]]) -> None:
    exact, found = runs
    scores = torch.stack([z_scores(exact, one) for one in found])
    share, slack = covered(scores)
    assert abs(share - 0.95) < slack
    broken = torch.stack([z_scores(exact, one, shrunk=0.7) for one in found])
    assert abs(covered(broken)[0] - 0.95) > slack
    assert abs(float(scores.mean())) < 4 / math.sqrt(len(scores) * 10)
    assert float((scores.abs() > 3).double().mean()) < 0.01


@pytest.mark.parametrize("order", [0, 1, 2])
def test_standard_errors_are_as_large_as_errors_are(
    runs: tuple[Expansion, list[Expansion]], order: int
) -> None:
    """Of the terms of each order: a mean z² of 1, within four deviations for a z² a term."""
    exact, found = runs
    squares = torch.cat([z_scores(exact, one, order=order).square() for one in found])
    slack = 4 * math.sqrt(2 / (len(found) * (1, L, 6)[order]))  # 6 pairs have noise
    assert abs(float(squares.mean()) - 1) < slack < 0.91


def test_most_parameters_are_within_3_standard_errors(
    runs: tuple[Expansion, list[Expansion]],
) -> None:
    exact, found = runs
    scores = z_scores(exact, found[0])
    assert float((scores.abs() < 3).double().mean()) > 0.98


def test_couplings_without_a_third_position_have_no_noise(
    runs: tuple[Expansion, list[Expansion]],
) -> None:
    exact, found = runs
    assert found[0].standard_errors is not None
    assert float(found[0].standard_errors[0, 4].max()) < 1e-13
    off = found[0].coupling(0, 4) - exact.coupling(0, 4)
    assert float(off.abs().max()) < 1e-12


def test_variance_by_order_is_unbiased_and_covered(
    runs: tuple[Expansion, list[Expansion]],
) -> None:
    exact, found = runs
    for order in (1, 2):
        true = float(exact.variance.by_order[order])
        values = torch.stack([one.variance.by_order[order] for one in found])
        deviation = float(values.std()) / math.sqrt(SEEDS)
        assert abs(float(values.mean()) - true) < 4 * deviation
        plain = torch.tensor([squared(one, order) for one in found]).double()
        assert float(plain.mean()) > float(values.mean())  # an estimate squared is too large
        assert all(one.variance.standard_errors is not None for one in found)
        errors = torch.stack([one.variance.standard_errors[order] for one in found])  # type: ignore[index]
        inside = ((values - true).abs() < 1.96 * errors).double().mean()
        assert abs(float(inside) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / SEEDS)


def test_the_total_variance_is_unbiased_with_few_samples() -> None:
    true = float(expand(forward, GROUPS, order=L).variance.total)
    found = [expand(forward, GROUPS, order=0, samples=4, seed=seed) for seed in range(400)]
    values = torch.stack([one.variance.total for one in found])
    slack = 4 * float(values.std()) / math.sqrt(len(found))
    assert abs(float(values.mean()) - true) < slack
    assert true / 4 > slack  # by which a mean of squares less the squared mean falls short


def squared(found: Expansion, order: int) -> float:
    """Σ p h² with the estimates put in: what is not done."""
    p = found.background.probabilities
    total = 0.0
    for key, term in found.terms.items():
        if len(key) == order:
            weight = p[key[0]] if order == 1 else torch.outer(p[key[0]], p[key[1]])
            total += float((weight * term.square()).sum())
    return total


def test_shares_and_what_is_left_to_more_positions(
    runs: tuple[Expansion, list[Expansion]],
) -> None:
    exact, found = runs
    beyond = 1 - float(exact.variance.shares[1] + exact.variance.shares[2])
    assert beyond > 0.02
    scores = []
    for one in found:
        assert one.variance.rest_error is not None
        scores.append(float((one.variance.rest - beyond) / one.variance.rest_error))
    inside = sum(abs(score) < 1.96 for score in scores) / SEEDS
    assert abs(inside - 0.95) < 4 * math.sqrt(0.95 * 0.05 / SEEDS)


def test_strengths_of_weak_pairs_are_unbiased() -> None:
    """A pair without a coupling has, on average, none."""
    terms = {key: term for key, term in TERMS.items() if key != (0, 1)}
    gauged = zero_sum_gauge(terms, GROUPS)
    gauged.pop((0, 1), None)

    def uncoupled(x: Tensor) -> Tensor:
        return energy(gauged, GROUPS.decode(x))

    found = [expand(uncoupled, GROUPS, samples=8, seed=seed) for seed in range(SEEDS)]
    values = torch.stack([one.strengths()[0, 1] for one in found])
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(SEEDS)
    plain = torch.stack([one.coupling(0, 1).square().mean() for one in found])
    assert float(plain.mean()) > 4 * float(values.std()) / math.sqrt(SEEDS)


@pytest.mark.parametrize("order", [0, 1])
def test_lower_orders(order: int) -> None:
    exact = expand(forward, GROUPS, order=L)
    found = expand(forward, GROUPS, order=order, samples=2000)
    scores = z_scores(exact, found)
    assert float(scores.abs().max()) < 4
    assert max(map(len, found.terms)) == order
    assert found.evaluations == 2000 * (L * Q if order else 1)


def test_the_same_seed_gives_the_same_and_batches_do_not_count() -> None:
    torch.manual_seed(5)
    one = expand(forward, GROUPS, samples=8, seed=1)
    torch.manual_seed(6)
    again = expand(forward, GROUPS, samples=8, seed=1)
    other = expand(forward, GROUPS, samples=8, seed=2)
    assert all(torch.equal(one.terms[key], again.terms[key]) for key in one.terms)
    assert not torch.equal(one.phi, other.phi)
    exact = expand(forward, GROUPS)
    small = expand(forward, GROUPS, batch_size=7)
    assert all(torch.equal(exact.terms[key], small.terms[key]) for key in exact.terms)


def test_the_user_s_random_numbers_are_not_drawn() -> None:
    before = torch.get_rng_state()
    expand(forward, GROUPS, samples=4)
    assert torch.equal(before, torch.get_rng_state())


def test_several_outputs_are_each_what_they_are_alone() -> None:
    def both(x: Tensor) -> Tensor:
        one = forward(x)
        return torch.stack([one, one.square()], 1).reshape(-1, 1, 2)

    found = expand(both, GROUPS, samples=8)
    alone = expand(forward, GROUPS, samples=8)
    assert found.phi.shape == (1, 2)
    for key, term in alone.terms.items():
        torch.testing.assert_close(found.terms[key][..., 0, 0], term, rtol=1e-12, atol=1e-12)
    assert alone.standard_errors is not None
    assert found.standard_errors is not None
    torch.testing.assert_close(found.standard_errors[0,][..., 0, 0], alone.standard_errors[0,])
    torch.testing.assert_close(found.variance.shares[2][0, 0], alone.variance.shares[2])


def test_a_bar_of_all_patterns(capsys: pytest.CaptureFixture[str]) -> None:
    found = expand(forward, GROUPS, order=1, samples=4, show_progress=True)
    shown = capsys.readouterr().err
    assert f"{found.evaluations}/{found.evaluations}" in shown
    expand(forward, GROUPS, order=1, samples=4)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [20, 20, 10]], ids=["one", "single", "some"])
def test_chunks_of_samples_add_up_to_their_moments(sizes: list[int]) -> None:
    values = 100 + torch.randn(3, 50, 2, dtype=torch.float64)  # entries, samples, outputs
    moments = _Moments(50)
    for part in values.split(sizes, dim=1):
        moments.add(part)
    found = moments.finish()
    torch.testing.assert_close(found.mean, values.mean(1))
    torch.testing.assert_close(found.error, values.var(1) / 50, rtol=1e-9, atol=0)
    dealt = torch.stack([values[:, number::32].mean(1) for number in range(32)], 1)
    torch.testing.assert_close(found.replicates, dealt)
