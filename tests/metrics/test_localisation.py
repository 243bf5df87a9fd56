"""Localisation metrics: known answers, slow references, broken specimens and a peer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from captum_ilin.metrics import (
    MetricInputError,
    grid_of,
    grid_pointing_game,
    pointing_game,
    relevance_auc,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics import Scores

METRICS = (
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_auc,
    grid_pointing_game,
)
# Sums of fewer than 200 numbers in float64, in two orders.
ROUNDING = {"rtol": 200 * 2**-53, "atol": 200 * 2**-53}


def example(seed: int, size: int = 5, batch: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Attributions in thirds, so that places tie, and a mask that is never empty."""
    generator = torch.Generator().manual_seed(seed)
    attributions = (torch.randn(batch, 3, size, size, generator=generator) * 3).round() / 3
    mask = torch.rand(batch, 1, size, size, generator=generator) < 0.3
    mask[:, :, 0, 0] = True
    return attributions, mask


# slow references: loops over places, from the definitions


def slow_places(
    attributions: torch.Tensor, mask: torch.Tensor
) -> list[tuple[tuple[int, int], float, bool]]:
    """Place, attribution summed over channels, and whether the mask holds, of one example."""
    _, height, width = attributions.shape
    return [
        (
            (row, column),
            math.fsum(float(channel[row, column]) for channel in attributions.double()),
            bool(mask[0, row, column]),
        )
        for row in range(height)
        for column in range(width)
    ]


def slow_pointing_game(
    attributions: torch.Tensor, mask: torch.Tensor, tolerance: float = 0
) -> float:
    places = slow_places(attributions, mask)
    evidence = [place for place, _, inside in places if inside]
    largest = max(value for _, value, _ in places)
    hits = [
        any(math.dist(place, right) <= tolerance for right in evidence)
        for place, value, _ in places
        if value == largest
    ]
    return sum(hits) / len(hits)


def slow_mass(attributions: torch.Tensor, mask: torch.Tensor, part: str = "positive") -> float:
    taken = {"positive": lambda v: max(v, 0.0), "absolute": abs, "signed": float}[part]
    places = slow_places(attributions, mask)
    total = math.fsum(taken(value) for _, value, _ in places)
    return math.fsum(taken(value) for _, value, inside in places if inside) / total


def slow_rank(attributions: torch.Tensor, mask: torch.Tensor, part: str = "signed") -> float:
    """The mean over every order of the tied places, by 4,000 random ones."""
    taken = {"positive": lambda v: max(v, 0.0), "absolute": abs, "signed": float}[part]
    places = [(taken(value), inside) for _, value, inside in slow_places(attributions, mask)]
    count = sum(inside for _, inside in places)
    generator = np.random.default_rng(0)
    found = []
    for _ in range(4_000):
        order = sorted(places, key=lambda place: (-place[0], generator.random()))
        found.append(sum(inside for _, inside in order[:count]) / count)
    return float(np.mean(found))


def slow_auc(attributions: torch.Tensor, mask: torch.Tensor) -> float:
    places = slow_places(attributions, mask)
    won = [
        1.0 if ours > theirs else 0.5 if ours == theirs else 0.0
        for _, ours, inside in places
        if inside
        for _, theirs, outside in places
        if not outside
    ]
    return math.fsum(won) / len(won)


def each(
    reference: Callable[..., float],
    attributions: torch.Tensor,
    mask: torch.Tensor,
    **options: object,
) -> torch.Tensor:
    pairs = zip(attributions, mask, strict=True)
    return torch.tensor([reference(*pair, **options) for pair in pairs], dtype=torch.float64)


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2])
def test_pointing_game_is_its_definition(tolerance: float) -> None:
    attributions, mask = example(0)
    found = pointing_game(attributions, mask, tolerance=tolerance).values
    expected = each(slow_pointing_game, attributions, mask, tolerance=tolerance)
    torch.testing.assert_close(found, expected, **ROUNDING)


@pytest.mark.parametrize("part", ["positive", "absolute", "signed"])
def test_mass_accuracy_is_its_definition(part: str) -> None:
    attributions, mask = example(1)
    found = relevance_mass_accuracy(attributions, mask, part=part).values
    # The signed sum may cancel: its condition number stays below 100 on these examples.
    expected = each(slow_mass, attributions, mask, part=part)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("part", ["positive", "absolute", "signed"])
def test_rank_accuracy_is_the_mean_over_orders_of_ties(part: str) -> None:
    attributions, mask = example(2)
    found = relevance_rank_accuracy(attributions, mask, part=part).values
    expected = each(slow_rank, attributions, mask, part=part)
    # A share's standard deviation is at most ½, so the mean of 4,000 has at most 0.008.
    torch.testing.assert_close(found, expected, rtol=0, atol=5 * 0.5 / math.sqrt(4_000))


def test_auc_is_its_definition() -> None:
    attributions, mask = example(3)
    found = relevance_auc(attributions, mask).values
    torch.testing.assert_close(found, each(slow_auc, attributions, mask), **ROUNDING)


def test_grid_pointing_game_is_the_positive_mass_of_the_summed_channels() -> None:
    attributions, mask = example(4)
    found = grid_pointing_game(attributions, mask).values
    expected = each(slow_mass, attributions, mask)
    torch.testing.assert_close(found, expected, **ROUNDING)
    before_summing = (attributions.clamp(min=0) * mask).sum((1, 2, 3)) / attributions.clamp(
        min=0
    ).sum((1, 2, 3))
    assert (found - before_summing).abs().min() > 1e-3  # the broken specimen


# known answers


def test_hand_computed() -> None:
    attributions = torch.tensor([[4.0, 3.0, -2.0, 1.0, 2.0]])
    mask = torch.tensor([[True, False, False, True, True]])
    assert pointing_game(attributions, mask).values.tolist() == [1.0]
    assert relevance_mass_accuracy(attributions, mask).values.tolist() == [7 / 10]
    shares = [
        float(relevance_mass_accuracy(attributions, mask, part=part).values)
        for part in ("absolute", "signed")
    ]
    assert shares == [7 / 12, 7 / 8]
    ranked = float(relevance_rank_accuracy(attributions, mask).values)
    assert ranked == pytest.approx(2 / 3, abs=2**-52)
    area = float(relevance_auc(attributions, mask).values)
    assert area == pytest.approx(4 / 6, abs=2**-52)


@pytest.mark.parametrize("n", [2, 3])
def test_a_constant_map_scores_chance_in_a_grid(n: int) -> None:
    grids = grid_of(torch.zeros(n**2, 3, 4, 4), n)
    found = grid_pointing_game(torch.ones(n**2, 3, 4 * n, 4 * n), grids.cells).values
    assert found.tolist() == [1 / n**2] * n**2


@pytest.mark.parametrize("n", [2, 3])
def test_a_random_map_scores_chance_in_the_mean(n: int) -> None:
    grids = grid_of(torch.zeros(n**2, 1, 4, 4), n)
    noise = torch.randn(2_000, 1, 4 * n, 4 * n, generator=torch.Generator().manual_seed(0))
    found = grid_pointing_game(noise, grids.cells[:1]).values
    # By symmetry of the cells the mean is 1/n² exactly; five standard errors around it.
    assert float(found.mean()) == pytest.approx(
        1 / n**2, abs=5 * float(found.std()) / math.sqrt(2_000)
    )


@pytest.mark.parametrize("metric", [pointing_game, *METRICS[1:3]])
def test_a_constant_map_scores_the_masks_share(metric: Callable[..., Scores]) -> None:
    _, mask = example(5)
    share = mask.double().mean((1, 2, 3))
    torch.testing.assert_close(
        metric(torch.full(mask.shape, 0.5), mask).values, share, **ROUNDING
    )
    assert relevance_auc(torch.full(mask.shape, 0.5), mask).values.tolist() == [0.5] * 6


@pytest.mark.parametrize("metric", METRICS)
def test_the_mask_itself_is_perfect(metric: Callable[..., Scores]) -> None:
    _, mask = example(6)
    assert metric(mask.double(), mask).values.tolist() == [1.0] * 6


# what is not defined, and what is refused


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_mask_has_no_value(metric: Callable[..., Scores]) -> None:
    attributions, mask = example(7, batch=2)
    mask[0] = False
    scores = metric(attributions, mask)
    assert scores.reasons == ("the mask is empty: nobody knows a right place", None)
    assert scores.nan_count == 1


@pytest.mark.parametrize("metric", METRICS)
def test_attributions_that_are_not_finite_have_no_value(metric: Callable[..., Scores]) -> None:
    attributions, mask = example(7, batch=3)
    attributions[0, 0, 1, 1], attributions[2, 0, 1, 1] = torch.nan, torch.inf
    assert metric(attributions, mask).reasons == (
        "the attributions are not finite",
        None,
        "the attributions are not finite",
    )


def test_nothing_to_share_is_said() -> None:
    mask = torch.tensor([[True, False]])
    said = {
        part: relevance_mass_accuracy(values, mask, part=part).reasons[0]
        for part, values in {
            "positive": torch.tensor([[-1.0, 0.0]]),
            "absolute": torch.zeros(1, 2),
            "signed": torch.tensor([[1.0, -1.0]]),
        }.items()
    }
    assert said == {
        "positive": "no attribution is positive: there is nothing to share",
        "absolute": "every attribution is 0: there is nothing to share",
        "signed": "the attributions add up to 0: a share of that is undefined",
    }
    full = relevance_auc(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool))
    assert full.reasons == ("the mask covers every place",)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pointing_game(torch.ones(1, 3, 4, 4), torch.ones(1, 4, 4).bool()),
            "The mask has shape (1, 4, 4); expected the attributions' (1, 3, 4, 4), or 1 in "
            "place of the batch and of dimensions that are summed (channels), because it says "
            "for every place whether the evidence lies there.",
        ),
        (
            lambda: pointing_game(torch.ones(1, 4), torch.ones(1, 4)),
            "The mask has dtype torch.float32; expected torch.bool, True where the evidence "
            "lies.",
        ),
        (
            lambda: relevance_mass_accuracy(
                torch.ones(1, 4), torch.ones(1, 4).bool(), part="negative"
            ),
            "part is 'negative'; expected one of 'positive', 'absolute', 'signed': which part "
            "of a place's attribution counts.",
        ),
        (
            lambda: pointing_game((torch.ones(1, 4),) * 2, torch.ones(1, 4).bool()),
            "There are 2 attribution tensors and 1 masks; expected one mask for each.",
        ),
        (
            lambda: pointing_game(torch.ones(1, 4), torch.ones(1, 4).bool(), tolerance=-1),
            "tolerance is -1; expected 0 or more pixels.",
        ),
        (
            lambda: pointing_game(torch.ones(1, 4), torch.ones(1, 4).bool(), tolerance=2),
            "tolerance is 2, and the mask has shape (1, 4); expected (batch, …, height, "
            "width), because a tolerance is a distance in pixels.",
        ),
        (
            lambda: grid_of(torch.ones(3, 1, 2, 2)),
            "The images give 0 grids; expected 1. A grid takes 4 images of different classes, "
            "and an image is used once.",
        ),
        (
            lambda: grid_of(torch.ones(4, 2, 2)),
            "The images have shape (4, 2, 2) and n is 2; expected (images, channels, height, "
            "width) and 1 or more cells along a side.",
        ),
    ],
)
def test_refusals(call: Callable[[], object], message: str) -> None:
    with pytest.raises(MetricInputError) as raised:
        call()
    assert str(raised.value) == message


# laws


@pytest.mark.parametrize("metric", METRICS)
def test_an_example_scores_alone_as_in_a_batch(metric: Callable[..., Scores]) -> None:
    attributions, mask = example(8)
    alone = [
        float(metric(attributions[row : row + 1], mask[row : row + 1]).values)
        for row in range(len(mask))
    ]
    assert metric(attributions, mask).values.tolist() == alone


@pytest.mark.parametrize("metric", METRICS[:4])
def test_a_tuple_is_read_side_by_side(metric: Callable[..., Scores]) -> None:
    generator = torch.Generator().manual_seed(9)
    values = torch.randn(3, 8, generator=generator)
    mask = torch.rand(3, 8, generator=generator) < 0.5
    mask[:, 0], mask[:, 1] = True, False
    parts = metric((values[:, :3], values[:, 3:]), (mask[:, :3], mask[:, 3:]))
    assert parts.values.tolist() == metric(values, mask).values.tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_places_may_be_renumbered_and_attributions_scaled(
    metric: Callable[..., Scores],
) -> None:
    attributions, mask = example(10)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(0))
    found = metric(attributions[..., order] * 4, mask[..., order])
    expected = metric(attributions, mask)
    torch.testing.assert_close(found.values, expected.values, **ROUNDING)


def test_attributions_stay_as_they_were() -> None:
    attributions, mask = example(11)
    attributions.requires_grad_()
    before = attributions.detach().clone(), mask.clone()
    for metric in METRICS:
        metric(attributions, mask)
    assert torch.equal(attributions, before[0])
    assert torch.equal(mask, before[1])
    assert attributions.requires_grad
    assert attributions.grad is None


# grids


def test_a_grid_shows_its_images_where_its_cells_say() -> None:
    images = torch.randn(9, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    grids = grid_of(images, 3)
    assert grids.inputs.shape == (1, 2, 9, 12)
    for cell, image in enumerate(grids.images[0]):
        shown = grids.inputs[0][grids.cells[cell].expand(2, -1, -1)]
        assert torch.equal(shown, images[image].flatten())
        row, column = divmod(cell, 3)
        window = grids.cells[cell, 0, row * 3 : row * 3 + 3, column * 4 : column * 4 + 4]
        assert window.all()
    assert torch.equal(grids.cells.sum(0), torch.ones(1, 9, 12, dtype=torch.long))


def test_the_most_confident_images_of_different_classes_come_first() -> None:
    classes = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    confidence = torch.tensor([0.1, 0.9, 0.8, 0.2, 0.3, 0.7, 0.6, 0.4])
    grids = grid_of(torch.zeros(8, 1, 2, 2), classes=classes, confidence=confidence, seed=1)
    assert sorted(grids.images[0].tolist()) == [1, 2, 5, 6]
    assert sorted(grids.images[1].tolist()) == [0, 3, 4, 7]
    again = grid_of(torch.zeros(8, 1, 2, 2), classes=classes, confidence=confidence, seed=1)
    assert torch.equal(grids.images, again.images)


# a peer


def test_quantus_agrees() -> None:
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed")
    generator = torch.Generator().manual_seed(0)
    attributions = torch.rand(8, 1, 6, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(8, 1, 6, 6, generator=generator) < 0.3
    mask[:, :, 0, 0] = True
    pairs = {
        quantus.PointingGame: pointing_game(attributions, mask),
        quantus.RelevanceMassAccuracy: relevance_mass_accuracy(
            attributions, mask, part="signed"
        ),
        quantus.RelevanceRankAccuracy: relevance_rank_accuracy(attributions, mask),
        quantus.AUC: relevance_auc(attributions, mask),
    }
    for peer, ours in pairs.items():
        theirs = peer(disable_warnings=True, normalise=False)(
            model=torch.nn.Identity(),
            x_batch=attributions.numpy(),
            y_batch=np.zeros(8, dtype=int),
            a_batch=attributions.numpy(),
            s_batch=mask.numpy(),
        )
        assert np.abs(np.asarray(theirs, float) - ours.values.numpy()).max() <= 1e-6


def test_a_tolerance_asks_for_a_boolean_mask_too() -> None:
    with pytest.raises(MetricInputError, match=r"dtype torch.float32; expected torch.bool"):
        pointing_game(torch.rand(1, 8, 8), torch.rand(1, 8, 8), tolerance=2)
