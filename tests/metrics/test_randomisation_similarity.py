"""Similarities of attribution maps against slow ones written from their definitions."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from captum_ilin.metrics import (
    Direction,
    MetricInputError,
    MetricPackageError,
    abs_spearman,
    hog,
    spearman,
    ssim,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ROUNDING = 4 * 2.0**-53  # one product, one root and one quotient of exact sums


def ranks_by_counting(values: Sequence[float]) -> list[float]:
    """A value's rank: one more than the smaller ones, and half of its equals."""
    return [
        1 + sum(w < v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values
    ]


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    mean_a, mean_b = sum(first) / len(first), sum(second) / len(second)
    a, b = [v - mean_a for v in first], [v - mean_b for v in second]
    products = sum(x * y for x, y in zip(a, b, strict=True))
    return products / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def slow_spearman(first: Tensor, second: Tensor) -> Tensor:
    rows = [
        correlation(ranks_by_counting(a.flatten().tolist()), ranks_by_counting(b.tolist()))
        for a, b in zip(first, second.flatten(1), strict=True)
    ]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_spearman_is_its_definition(dtype: torch.dtype, tied: bool) -> None:
    first, second = torch.randn(2, 5, 3, 7).to(dtype)
    if tied:
        first, second = (first * 2).round(), second.clamp_min(0)
    expected = slow_spearman(first, second)
    assert (spearman(first, second).values - expected).abs().max() <= ROUNDING
    expected = slow_spearman(first.abs(), second.abs())
    assert (abs_spearman(first, second).values - expected).abs().max() <= ROUNDING


def test_ranks_that_ignore_ties_are_caught() -> None:
    first, second = (torch.randn(2, 1, 40) * 2).round()
    ordinal = [rows.argsort(1).argsort(1).double() for rows in (first, second)]
    wrong = correlation(ordinal[0][0].tolist(), ordinal[1][0].tolist())
    assert abs(wrong - float(slow_spearman(first, second))) > 1e-3


def test_the_two_zeros_tie() -> None:
    first = torch.tensor([[0.0, -0.0, 1.0]])
    assert spearman(first, first.abs()).values.item() == 1


def test_a_map_is_like_itself_and_unlike_its_opposite_exactly() -> None:
    map = torch.randn(4, 3, 10, 10)
    assert (spearman(map, map**3).values == 1).all()
    assert (spearman(map, -map).values == -1).all()
    assert (abs_spearman(map, -map).values == 1).all()


def test_fresh_noise_has_the_null_spread() -> None:
    maps, size = 2000, 50
    values = spearman(torch.randn(maps, size), torch.randn(maps, size)).values
    spread = 1 / math.sqrt(size - 1)
    assert abs(values.mean()) < 4 * spread / math.sqrt(maps)
    assert abs(values.std() / spread - 1) < 4 / math.sqrt(2 * maps)


def test_inputs_of_several_tensors_are_one_map() -> None:
    first, second = torch.randn(2, 3, 8)
    parts = spearman((first[:, :3], first[:, 3:]), (second[:, :3], second[:, 3:]))
    assert torch.equal(parts.values, spearman(first, second).values)


def test_a_constant_map_is_missing_and_leaves_the_others_alone() -> None:
    first, second = torch.randn(2, 3, 8)
    alone = spearman(first, second).values
    first = first.clone()
    first[1] = 0.5
    found = spearman(first, second)
    assert found.reasons == (
        None,
        "The map is constant, so its values have no order.",
        None,
    )
    assert torch.equal(found.values[::2], alone[::2])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("similarity", [spearman, abs_spearman, ssim, hog])
def test_what_is_not_finite_is_missing(similarity: object, value: float) -> None:
    assert callable(similarity)
    map = torch.randn(2, 1, 12, 12)
    broken = map.clone()
    broken[0, 0, 3, 3] = value
    assert similarity(map, broken).reasons[0] == "The attributions hold NaN or an infinity."
    assert similarity(map, broken).reasons[1] is None


def test_ssim_is_that_of_the_channel_sum() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    first, second = torch.randn(2, 2, 3, 14, 12, dtype=torch.float64)
    found = ssim(first, second)
    for row in range(2):
        a, b = (map[row].sum(0).numpy() for map in (first, second))
        expected = metrics.structural_similarity(
            a / abs(a).max(),
            b / abs(b).max(),
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=2,
        )
        assert found.values[row] == pytest.approx(expected, abs=1e-12)
    assert found.direction is Direction.DESCRIPTIVE
    assert (ssim(first, 3 * first).values - 1).abs().max() < 1e-12


@pytest.mark.parametrize(("side", "cell"), [(6, 2), (28, 9), (48, 16), (64, 16)])
def test_hog_has_cells_that_fit(side: int, cell: int) -> None:
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    first, second = torch.randn(2, 1, 2, side, side, dtype=torch.float64)
    vectors = []
    for map in (first, second):
        summed = map[0].sum(0).numpy()
        vectors.append(
            feature.hog(
                summed / abs(summed).max(),
                orientations=9,
                pixels_per_cell=(cell, cell),
                cells_per_block=(3, 3),
            ).tolist()
        )
    assert hog(first, second).values.item() == pytest.approx(correlation(*vectors), abs=1e-12)


def test_what_is_no_image_or_too_small_is_missing() -> None:
    vectors, small = torch.randn(2, 9), torch.randn(2, 1, 8, 5)
    no_image = "The attributions are no image: not (batch, channels, height, width)."
    assert ssim(vectors, vectors).reasons == (no_image,) * 2
    assert ssim(small, small).reasons[0] == "The map has 8×5 pixels; 11×11 are needed."
    assert hog(small, small).reasons[0] == "The map has 8×5 pixels; 6×6 are needed."
    flat = torch.ones(1, 1, 16, 16)
    assert hog(flat, flat).reasons == (
        "The map is flat: its gradients have no histogram to correlate.",
    )
    assert ssim(0 * flat, flat).reasons == ("The map is zero throughout.",)


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(MetricInputError, match=r"expected two of the same shape, got \[\(2, "):
        spearman(torch.zeros(2, 3), torch.zeros(2, 4))


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(MetricPackageError, match=r'pip install "captum-ilin\[metrics\]"'):
        ssim(torch.randn(1, 1, 16, 16), torch.randn(1, 1, 16, 16))
