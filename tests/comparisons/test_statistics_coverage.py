"""The interval's level, counted on two-factor models whose mean is known.

With N tables the counted coverage of a true 95 % has a standard error of √(.95·.05/N): 0.34
points for 4000. So [93, 97] is six standard errors wide on either side, and an interval that
covers 92 % is found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the comparisons' extra is not installed")

from comparisons.statistics import interval

if TYPE_CHECKING:
    from comparisons.statistics.interval import Statistic

BOTH = (1.0, 1.0, 1.0)  # the standard deviations of seeds, examples and the rest
EXAMPLES_MOSTLY = (0.3, 1.0, 0.5)
SEEDS_MOSTLY = (1.0, 0.2, 0.2)


def _tables(
    shape: tuple[int, int], spread: tuple[float, float, float], repeats: int
) -> list[np.ndarray]:
    chance, (seeds, examples) = np.random.default_rng(1), shape
    return [
        spread[0] * chance.standard_normal((seeds, 1))
        + spread[1] * chance.standard_normal((1, examples))
        + spread[2] * chance.standard_normal(shape)
        for _ in range(repeats)
    ]


def _coverage(
    shape: tuple[int, int],
    spread: tuple[float, float, float],
    repeats: int,
    statistic: Statistic = "mean",
) -> float:
    found = [
        interval(table, statistic=statistic, draws=1000)
        for table in _tables(shape, spread, repeats)
    ]
    return float(np.mean([one.low <= 0 <= one.high for one in found]))


def test_five_seeds_and_twenty_examples_hold_the_level() -> None:
    """800 tables: standard error 0.8 points, so three of them on either side of 95."""
    assert 0.927 <= _coverage((5, 20), BOTH, 800) <= 0.973


@pytest.mark.slow
@pytest.mark.parametrize("spread", [BOTH, EXAMPLES_MOSTLY, SEEDS_MOSTLY])
@pytest.mark.parametrize("shape", [(5, 20), (5, 8), (10, 50)])
def test_the_level_holds_at_realistic_sizes(
    shape: tuple[int, int], spread: tuple[float, float, float]
) -> None:
    assert 0.93 <= _coverage(shape, spread, 4000) <= 0.97


@pytest.mark.slow
def test_one_published_model_holds_the_level_over_examples() -> None:
    assert 0.93 <= _coverage((1, 20), (0.0, 1.0, 0.0), 4000) <= 0.97


@pytest.mark.slow
def test_medians_cover_at_least_what_they_say() -> None:
    assert _coverage((5, 20), BOTH, 2000, "median") >= 0.93


def test_plain_percentiles_and_a_nested_bootstrap_would_fall_short() -> None:
    """The broken specimens: what the stretch and the crossed draws are for."""
    plain, nested = [], []
    chance = np.random.default_rng(2)
    for table in _tables((5, 20), SEEDS_MOSTLY, 400):
        rows = chance.integers(0, 5, (400, 5))
        plain.append(table.mean(1)[rows].mean(1))
    for table in _tables((5, 20), (0.0, 1.0, 0.2), 400):
        rows = chance.integers(0, 5, (400, 5, 1))
        nested.append(table[rows, chance.integers(0, 20, (400, 5, 20))].mean((1, 2)))
    for draws, most in ((plain, 0.90), (nested, 0.75)):
        ends = np.quantile(np.array(draws), [0.025, 0.975], axis=1)
        assert np.mean((ends[0] <= 0) & (ends[1] >= 0)) < most
