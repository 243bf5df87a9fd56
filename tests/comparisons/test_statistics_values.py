"""Intervals and tests against SciPy, published worked examples and hand-computed cases."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the comparisons' extra is not installed")

from scipy import stats

from captum_ilin.metrics import Direction
from comparisons.statistics import (
    critical_difference,
    friedman,
    holm,
    interval,
    signed_rank,
    smallest_p,
)
from comparisons.statistics.interval import standard_error


def _table(seeds: int, examples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((seeds, examples)) + 3.0


def test_an_interval_is_the_same_each_time_and_moves_with_its_seed() -> None:
    table = _table(5, 12)
    assert interval(table) == interval(table)
    assert interval(table, seed=7) != interval(table)
    found = interval(table)
    assert (found.n, found.seeds, found.examples, found.note) == (60, 5, 12, None)
    assert found.value == pytest.approx(table.mean())
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("values", "low", "high", "note"),
    [
        ([[]], math.nan, math.nan, "no values"),
        ([[math.nan, math.nan]], math.nan, math.nan, "no values"),
        ([[2.0]], math.nan, math.nan, "one value has no interval"),
        ([[math.nan, 2.0]], math.nan, math.nan, "one value has no interval"),
        ([[2.0, 2.0, 2.0]], 2.0, 2.0, "one model seed: over examples only"),
        ([[2.0], [2.0]], 2.0, 2.0, "one example: over model seeds only"),
        ([[2.0, 2.0], [2.0, 2.0]], 2.0, 2.0, None),
    ],
)
def test_degenerate_tables(
    values: list[list[float]], low: float, high: float, note: str | None
) -> None:
    found = interval(np.array(values))
    np.testing.assert_equal((found.low, found.high, found.note), (low, high, note))


def test_one_seed_is_nearly_the_t_interval() -> None:
    """The draws' 2.5 % quantile of 2000 has a standard error of about 6 % of its size."""
    values = np.random.default_rng(3).standard_normal(20)
    found = interval(values[None], draws=20_000)
    low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_the_standard_error_is_the_mean_squares() -> None:
    """Against the two-way analysis of variance written out with loops."""
    table = _table(4, 7)
    mean, rows, columns = table.mean(), table.mean(1), table.mean(0)
    by_seed = sum((row - mean) ** 2 for row in rows) * 7 / 3
    by_example = sum((column - mean) ** 2 for column in columns) * 4 / 6
    rest = sum(
        (table[s, i] - rows[s] - columns[i] + mean) ** 2 for s, i in product(range(4), range(7))
    ) / (3 * 6)
    expected = max(by_seed + by_example - rest, by_seed, by_example) / 28
    assert standard_error(table)[0] == pytest.approx(math.sqrt(expected), rel=1e-12)


def test_a_missing_value_moves_the_interval_only_a_little() -> None:
    table = _table(5, 20)
    holed = table.copy()
    holed[2, 3] = math.nan
    whole, found = interval(table), interval(holed)
    assert found.n == 99
    assert found.high - found.low == pytest.approx(whole.high - whole.low, rel=0.2)


def test_a_median_ignores_an_outlier() -> None:
    table = _table(3, 15)
    table[0, 0] = 1e9
    assert interval(table, statistic="median").high < 10


@pytest.mark.parametrize("pairs", [5, 12, 30, 50, 80])
def test_signed_rank_agrees_with_scipy(pairs: int) -> None:
    first, second = np.random.default_rng(pairs).standard_normal((2, pairs))
    method = "exact" if pairs <= 50 else "approx"
    expected = stats.wilcoxon(first - second, method=method).pvalue
    assert signed_rank(first, second).p == pytest.approx(expected, rel=1e-9)


def test_ties_are_exact_against_all_sign_patterns() -> None:
    difference = np.array([1.0, 1.0, -1.0, 2.0, 2.0, 3.0, -4.0, 5.0])
    ranks = stats.rankdata(np.abs(difference))
    observed = abs(float((np.sign(difference) * ranks).sum()))
    patterns = [abs(float(np.dot(s, ranks))) for s in product((-1, 1), repeat=8)]
    expected = np.mean([pattern >= observed for pattern in patterns])
    assert signed_rank(difference, np.zeros(8)).p == pytest.approx(expected, rel=1e-12)


def test_darwins_maize() -> None:
    """Darwin's crossed and self-fertilised plants, 15 pairs in eighths of an inch (Fisher,
    The Design of Experiments, 1935, section 17). Ranks by hand: |differences| sorted are
    6 8 14 16 23 24 28 29 41 48 49 56 60 67 75; −48 and −67 have ranks 10 and 14, W⁻ = 24,
    and of 120 in all the effect is (96 − 24)/120 = 0.6."""
    difference = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    found = signed_rank(difference, [0] * 15)
    assert found.effect == pytest.approx(0.6)
    assert found.p == pytest.approx(0.0413, abs=5e-5)


def test_equal_values_and_missing_pairs_say_so() -> None:
    equal = signed_rank([1.0, 2.0, math.nan], [1.0, 2.0, 3.0])
    assert (equal.p, equal.effect, equal.pairs, equal.dropped) == (1.0, 0.0, 2, 1)
    assert equal.reason == "no example differs"
    assert signed_rank([math.nan], [1.0]).reason == "no example has both values"


def test_rounding_is_no_difference() -> None:
    values = np.linspace(1, 2, 10)
    assert signed_rank(values, values * (1 + 1e-6)).reason == "no example differs"
    assert signed_rank(values, values * (1 + 1e-4)).p == smallest_p(10)


def test_holm_by_hand() -> None:
    """.005·4, .01·3, .03·2, .04·1 but never below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    np.testing.assert_equal(holm([math.nan, 0.02]), [math.nan, 0.02])


def test_demsars_friedman_ranks_and_critical_values() -> None:
    """Demšar (2006), table 6: accuracies (AUC) of C4.5 and its three variants on 14 data sets,
    mean ranks 3.143, 2.000, 2.893, 1.964, and table 5's q at .05."""
    auc = [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569),
        (0.954, 0.971, 0.968, 0.967), (0.628, 0.661, 0.654, 0.657),
        (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625),
        (0.775, 0.838, 0.866, 0.875), (1.000, 1.000, 1.000, 1.000),
        (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.9751, 0.975), (0.957, 0.978, 0.946, 0.970),
    ]  # fmt: skip
    found = friedman(np.array(auc).T, Direction.HIGHER)
    assert found.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    chi_squared = 12 * 14 / (4 * 5) * (float((found.ranks**2).sum()) - 4 * 5**2 / 4)
    assert chi_squared == pytest.approx(9.28, abs=5e-3)
    assert found.p < stats.chi2.sf(chi_squared, 3)  # SciPy corrects for the ties, he does not
    for methods, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        expected = q * math.sqrt(methods * (methods + 1) / (6 * 14))
        assert critical_difference(methods, 14) == pytest.approx(expected, rel=5e-4)


def test_friedman_without_a_test_says_why() -> None:
    two = friedman(np.array([[1.0, 2.0], [2.0, 3.0]]), Direction.LOWER)
    assert two.reason == "2 methods; Friedman's test needs three"
    assert two.ranks.tolist() == [1.0, 2.0]
    same = friedman(np.ones((3, 4)), Direction.LOWER)
    assert same.reason == "every method has the same rank"
    holed = friedman(np.array([[1.0, math.nan], [2.0, 1.0], [3.0, 1.0]]), Direction.LOWER)
    assert (holed.blocks, holed.dropped) == (1, 1)


def test_no_method_has_no_ranks() -> None:
    ranked = friedman(np.empty((0, 4)), Direction.LOWER)
    assert ranked.ranks.tolist() == []
    assert ranked.reason
