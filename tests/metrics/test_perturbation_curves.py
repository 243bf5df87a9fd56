"""Perturbation curves and their areas: slow references, closed forms, laws and messages."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin.metrics import (
    MetricInputError,
    deletion,
    insertion,
    lerf,
    morf,
    perturbation_curve,
    selectivity,
    srg,
)
from captum_ilin.metrics.faithfulness.ranking import ranks_of
from captum_ilin.metrics.features import Features
from tests.fingerprint import untouched

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics import Scores

AREAS = (deletion, insertion, morf, lerf, selectivity)
# Fewer than 100 float64 operations on numbers below 10, in two orders.
ROUNDING = {"rtol": 100 * 2**-53, "atol": 1000 * 2**-53}


def network() -> nn.Module:
    """Smooth, with interactions, float64: (batch, 2, 3) → (batch, 4)."""
    torch.manual_seed(3)
    layers = (nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    return nn.Sequential(*layers).double().eval()


def data(batch: int = 3) -> tuple[Tensor, Tensor]:
    """Inputs and attributions without ties."""
    generator = torch.Generator().manual_seed(5)
    x, attributions = torch.randn(2, batch, 2, 3, generator=generator, dtype=torch.float64)
    return x, attributions


def linear(w: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: (x * w).sum(1) + 0.5


# slow reference: loops over one example's values, from the definitions


@torch.no_grad()
def slow_curve(
    forward: Callable[[Tensor], float],
    x: Tensor,
    attribution: Tensor,
    base: Tensor,
    groups: list[int],
    order: str,
    start: str,
    steps: int,
) -> tuple[list[float], list[float]]:
    values, relevance = x.flatten().tolist(), attribution.flatten().tolist()
    names = sorted(set(groups))
    weight = {
        name: sum(r for r, group in zip(relevance, groups, strict=True) if group == name)
        for name in names
    }
    ranking = sorted(names, key=weight.__getitem__, reverse=order == "morf")
    outputs, fractions = [], []
    for step in range(min(steps, len(names)) + 1):
        done = set(ranking[: step * len(names) // min(steps, len(names))])
        gone = done if start == "inputs" else set(names) - done
        mixed = [
            b if group in gone else v
            for v, b, group in zip(values, base.flatten().tolist(), groups, strict=True)
        ]
        outputs.append(forward(torch.tensor(mixed, dtype=torch.float64).reshape(x.shape)))
        fractions.append(len(done) / len(names))
    return outputs, fractions


def slow_area(outputs: list[float], fractions: list[float]) -> float:
    return math.fsum(
        (s1 - s0) * (y1 + y0) / 2
        for s0, s1, y0, y1 in zip(fractions, fractions[1:], outputs, outputs[1:], strict=False)
    )


@pytest.mark.parametrize("steps", [1, 4, 6, 50])
@pytest.mark.parametrize("start", ["inputs", "baseline"])
@pytest.mark.parametrize("order", ["morf", "lerf"])
@pytest.mark.parametrize("mask", [None, [0, 0, 7, 7, 2, 2], [0, 1, 2, 2, 1, 5]])
def test_the_curve_is_its_definition(
    mask: list[int] | None, order: Any, start: Any, steps: int
) -> None:
    model, (x, attributions) = network(), data()
    base = torch.rand_like(x)
    targets = [2, 0, 1]
    curve = perturbation_curve(
        model,
        x,
        attributions,
        target=targets,
        baselines=base,
        feature_mask=None if mask is None else torch.tensor(mask).reshape(1, 2, 3),
        order=order,
        start=start,
        steps=steps,
        batch_size=5,
    )
    for row, target in enumerate(targets):
        outputs, fractions = slow_curve(
            lambda one, target=target: float(model(one[None])[0, target]),
            *(x[row], attributions[row], base[row]),
            *(mask or list(range(6)), order, start, steps),
        )
        expected = torch.tensor(outputs, dtype=torch.float64)
        torch.testing.assert_close(curve.values[row], expected, **ROUNDING)
        assert curve.fractions[row].tolist() == fractions
        area = pytest.approx(slow_area(outputs, fractions), rel=1e-13, abs=1e-13)
        assert float(curve.area()[row]) == area


def test_each_example_has_its_own_groups() -> None:
    """Four groups, two groups, six: the areas are those of each example alone."""
    model, (x, attributions) = network(), data()
    mask = torch.tensor([[0, 0, 1, 1, 2, 3], [4, 4, 4, 9, 9, 9], [0, 1, 2, 3, 4, 5]])
    mask = mask.reshape(3, 2, 3)
    for area in AREAS:
        together = area(model, x, attributions, target=1, feature_mask=mask).values
        alone = [
            area(
                model,
                x[row : row + 1],
                attributions[row : row + 1],
                target=1,
                feature_mask=mask[row : row + 1],
            ).values
            for row in range(3)
        ]
        torch.testing.assert_close(together, torch.cat(alone), **ROUNDING)


def test_tuples_and_additional_arguments() -> None:
    """Two inputs, an argument by example and one that is not."""
    first, second = torch.rand(3, 2).double(), torch.rand(3, 4).double()
    scale, shift = torch.rand(3).double(), torch.rand(5).double()

    def forward(one: Tensor, other: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return scale * (one.sum(1) * other.prod(1)) + shift.sum()

    attributions = (torch.rand_like(first), torch.rand_like(second))
    curve = perturbation_curve(
        forward,
        (first, second),
        attributions,
        additional_forward_args=(scale, shift),
        baselines=(0.5, second.flip(1)),
    )
    joined = torch.cat((first, second), 1)
    expected = perturbation_curve(
        lambda x: x[:, 6] * (x[:, :2].sum(1) * x[:, 2:6].prod(1)) + shift.sum(),
        torch.cat((joined, scale[:, None]), 1),
        torch.cat((*attributions, torch.full((3, 1), -1.0).double()), 1),
        baselines=torch.cat((torch.full_like(first, 0.5), second.flip(1), scale[:, None]), 1),
    )
    torch.testing.assert_close(curve.values, expected.values[:, :-1], **ROUNDING)


# closed forms


def test_areas_on_a_linear_model() -> None:
    """With contributions c1 ≥ … ≥ cn and F(0) = b: ∫ MoRF = b + Σ c_k (k − ½)/n, and so on."""
    w = torch.tensor([2.0, -1.0, 0.5, 3.0]).double()
    x = torch.tensor([[1.0, 2.0, -3.0, 0.5], [0.1, -4.0, 1.0, 1.0]]).double()
    contributions = (x * w).sort(1, descending=True).values
    k = torch.arange(1, 5).double()
    given = (linear(w), x, x * w)
    most = 0.5 + (contributions * (k - 0.5) / 4).sum(1)
    least = 0.5 + (contributions * (4 - k + 0.5) / 4).sum(1)
    torch.testing.assert_close(deletion(*given).values, most, **ROUNDING)
    torch.testing.assert_close(morf(*given).values, most, **ROUNDING)
    torch.testing.assert_close(lerf(*given).values, least, **ROUNDING)
    torch.testing.assert_close(insertion(*given).values, least, **ROUNDING)
    gain = (contributions * (5 - 2 * k) / 4).sum(1)
    found = srg(*given, baselines={"zero": 0.0, "other": torch.zeros_like(x)}).values
    torch.testing.assert_close(found, gain, **ROUNDING)
    # Recorded: F(x), less c1, less c1 + c2, less c1 + c2 + c3; weights ½ 1 1 ½ over 3.
    total = 0.5 + contributions.sum(1)
    left = torch.stack([total - contributions[:, :gone].sum(1) for gone in range(4)], 1)
    recorded = (left * torch.tensor([0.5, 1, 1, 0.5]).double()).sum(1) / 3
    torch.testing.assert_close(selectivity(*given).values, recorded, **ROUNDING)


def test_relative_runs_from_one_to_zero() -> None:
    model, (x, attributions) = network(), data()
    for start, first in (("inputs", 1.0), ("baseline", 0.0)):
        curve = perturbation_curve(model, x, attributions, target=0, start=start, relative=True)
        assert curve.values[:, 0].tolist() == [first] * 3
        assert curve.values[:, -1].tolist() == [1 - first] * 3


def test_softmax_takes_probabilities() -> None:
    model, (x, attributions) = network(), data()
    found = deletion(model, x, attributions, target=2, softmax=True).values
    expected = deletion(lambda x: model(x).softmax(1)[:, 2], x, attributions).values
    torch.testing.assert_close(found, expected, **ROUNDING)
    assert not torch.equal(found, deletion(model, x, attributions, target=2).values)


# laws, each with what it must catch


def extreme_violations(attributions: Tensor) -> list[str]:
    """Areas on an additive model that a perfect ranking would beat."""

    def forward(x: Tensor) -> Tensor:
        return (x.sin() + x**2).sum(1)

    x = torch.tensor([[0.3, -1.2, 2.0, 0.9, -0.4]]).double()
    orders = [torch.tensor([order]).double() for order in itertools.permutations(range(5))]
    caught = []
    for metric, best in ((deletion, min), (insertion, max), (morf, min), (lerf, max)):
        every = [float(metric(forward, x, order).values) for order in orders]
        found = float(metric(forward, x, attributions).values)
        if abs(found - best(every)) > 1e-12:
            caught.append(metric.__name__)
    return caught


def test_a_perfect_ranking_has_the_extreme_areas_of_all_rankings() -> None:
    x = torch.tensor([[0.3, -1.2, 2.0, 0.9, -0.4]]).double()
    contributions = x.sin() + x**2
    names = ["deletion", "insertion", "morf", "lerf"]
    assert extreme_violations(contributions) == []
    assert extreme_violations(-contributions) == names
    assert extreme_violations(x) == names  # the specimen: ranked by the input's own size


def test_a_reversed_ranking_has_the_other_extreme() -> None:
    w = torch.tensor([2.0, -1.0, 0.5, 3.0]).double()
    x = torch.ones(1, 4).double()
    orders = [torch.tensor([order]).double() for order in itertools.permutations(range(4))]
    every = [float(deletion(linear(w), x, order).values) for order in orders]
    reversed_area = float(deletion(linear(w), x, -w[None]).values)
    assert reversed_area == pytest.approx(max(every), abs=1e-14)


@pytest.mark.parametrize("ties", [False, True])
def test_the_flipped_sign_swaps_morf_and_lerf(ties: bool) -> None:
    model, (x, attributions) = network(), data()
    if ties:
        attributions = attributions.round()
    most = morf(model, x, attributions, target=0).values
    least = lerf(model, x, attributions, target=0).values
    assert torch.equal(morf(model, x, -attributions, target=0).values, least)
    assert torch.equal(lerf(model, x, -attributions, target=0).values, most)
    # The specimen: LeRF as one minus MoRF.
    assert not torch.allclose(1 - most, least, atol=0.01)


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_insertion_is_lerf_read_backwards(steps: int) -> None:
    model, (x, attributions) = network(), data()
    options: Any = {"target": 3, "baselines": 0.2, "steps": steps}
    torch.testing.assert_close(
        insertion(model, x, attributions, **options).values,
        lerf(model, x, attributions, **options).values,
        **ROUNDING,
    )


def test_only_the_ranking_counts() -> None:
    model, (x, attributions) = network(), data()
    for metric in AREAS:
        found = metric(model, x, attributions, target=0).values
        assert torch.equal(metric(model, x, attributions.exp() - 5, target=0).values, found)
        assert not torch.equal(metric(model, x, attributions**2, target=0).values, found)


def test_attributions_that_all_tie_gain_nothing() -> None:
    model, (x, attributions) = network(), data()
    constant = torch.ones_like(attributions)
    assert srg(model, x, constant, target=0, baselines=[0.0, 1.0]).values.tolist() == [0.0] * 3
    gain = srg(model, x, attributions, target=0, baselines=[0.0, 1.0]).values
    assert (gain != 0).all()


def test_the_gain_is_the_mean_over_baselines() -> None:
    model, (x, attributions) = network(), data()
    bases = {"zero": 0.0, "noise": torch.randn_like(x)}
    parts = [
        lerf(model, x, attributions, target=1, baselines=base).values
        - morf(model, x, attributions, target=1, baselines=base).values
        for base in bases.values()
    ]
    found = srg(model, x, attributions, target=1, baselines=bases).values
    assert torch.equal(found, torch.stack(parts).mean(0))


def test_a_generator_gives_all_curves_one_order_of_ties() -> None:
    model, (x, attributions) = network(), data()
    constant = torch.ones_like(attributions)
    seed = torch.Generator().manual_seed(1)
    gain = srg(model, x, constant, target=1, baselines=[0.0, 1.0], seed=seed)
    assert gain.values.tolist() == [0.0] * 3


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_ties_stand_in_one_drawn_order(order: Any) -> None:
    """The same for every example: by attribution, then by a key for each feature."""
    x = torch.arange(2000.0).reshape(2, 1000)
    scores = torch.stack([torch.arange(1000) % 3, torch.arange(1000) // 500]).double()
    keys = torch.rand(1000, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    ranks = ranks_of(Features(x), scores, order, 6)
    sign = -1 if order == "morf" else 1
    for row, found in zip(scores.tolist(), ranks, strict=True):
        expected = sorted(range(1000), key=lambda i, row=row: (sign * row[i], float(keys[i])))
        assert found.argsort().tolist() == expected


def test_ties_follow_the_seed() -> None:
    model, (x, attributions) = network(), data()
    constant = torch.zeros_like(attributions)

    def areas(seed: Any) -> list[float]:
        return deletion(model, x, constant, target=0, seed=seed).values.tolist()

    assert areas(3) == areas(3) == areas(torch.Generator().manual_seed(3))
    assert len({tuple(areas(seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize("metric", AREAS)
def test_nothing_depends_on_the_rest_of_the_batch(metric: Callable[..., Scores]) -> None:
    model, (x, attributions) = network(), data()
    attributions = attributions.round()
    together = metric(model, x, attributions, target=[0, 1, 2]).values
    small = metric(model, x, attributions, target=[0, 1, 2], batch_size=2).values
    alone = [
        metric(model, x[row : row + 1], attributions[row : row + 1], target=row).values
        for row in range(3)
    ]
    torch.testing.assert_close(small, together, **ROUNDING)
    torch.testing.assert_close(torch.cat(alone), together, **ROUNDING)


def test_nothing_of_the_caller_changes() -> None:
    model, (x, attributions) = network(), data()
    x.requires_grad_()
    with untouched(model, x, attributions):
        for metric in AREAS:
            metric(model, x, attributions, target=0)
        srg(model, x, attributions, target=0, baselines=[0.0, 1.0])
        with pytest.raises(MetricInputError):
            deletion(model, x, attributions, target=0, steps=0)


# what is undefined, and what does not fit


def test_values_that_are_missing_have_a_reason() -> None:
    x, attributions = torch.ones(3, 4), torch.rand(3, 4)
    attributions[0, 1] = torch.nan
    x[1, 1] = torch.inf
    curve = perturbation_curve(lambda x: x.sum(1), x, attributions, baselines=1.0)
    assert curve.reasons == (
        "An attribution is not finite.",
        "An output is not finite.",
        None,
    )
    scores = morf(lambda x: x.sum(1), x, attributions, baselines=1.0, relative=True)
    assert scores.reasons[2] == "The output is the same for the input and the baseline."
    gains = srg(lambda x: x.sum(1), x, attributions, baselines=[0.0, 2.0])
    assert gains.reasons == curve.reasons
    one = selectivity(lambda x: x.sum(1), torch.ones(1, 4), torch.rand(1, 4), steps=1)
    assert one.reasons == ("There is one step only.",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "most"}, "order is 'most'; expected 'morf'"),
        ({"start": "zero"}, "start is 'zero'; expected 'inputs'"),
        ({"steps": 0}, "steps is 0; expected 1 or more."),
        ({"baselines": torch.ones(1, 5)}, r"A baseline has shape \(1, 5\), its input \(2, 4\)"),
        ({"baselines": (0, 0)}, "There are 2 baselines for 1 inputs"),
        ({"softmax": True}, "softmax=True needs an output for each class"),
    ],
)
def test_messages(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricInputError, match=message):
        perturbation_curve(lambda x: x.sum(1), torch.ones(2, 4), torch.ones(2, 4), **options)


@pytest.mark.parametrize(("given", "shown"), [([0.0], "1"), (torch.ones(2, 4), "a tensor")])
def test_one_baseline_is_not_enough_for_a_gain(given: Any, shown: str) -> None:
    x = torch.ones(2, 4)
    with pytest.raises(MetricInputError, match=f"two baselines or more, .* and got {shown}:"):
        srg(lambda x: x.sum(1), x, x, baselines=given)
