"""``interval``: a 95 % interval for a mean over model seeds and examples, by a hierarchical
bootstrap that holds its level with few seeds.

The values are a table y[s, i], a row for each model seed and a column for each example. Every
model explains the same examples, so the two are *crossed*, not nested:

    y[s, i] = μ + seed[s] + example[i] + rest[s, i]

An example that is hard is hard for every model. A bootstrap that drew new examples within each
seed would average that away and give intervals that are too short; here each draw takes seeds,
then examples, the same examples for each seed drawn.

Plain percentiles of such draws are too short with five seeds: a resample of S seeds has
(S − 1)/S of their variance, and its tails are a normal's, not a t's; and they are too long
where the rest dominates, which is drawn twice. So the deviations of the draws from the
estimate are stretched by one factor,

    c = t(df) / z · se / se*,

with se the standard error from the mean squares (unbiased), se* the draws' own, and df
Satterthwaite's. The draws keep their skewness, the width is the small sample's; with many
seeds and examples c → 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[np.float64]

__all__ = ["Interval", "Statistic", "interval"]

Statistic = Literal["mean", "median"]
DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        value: the mean or median; NaN without values.
        low, high: the interval's ends; NaN where there is none.
        n: how many values there are.
        seeds, examples: of how many model seeds and examples.
        note: why there is no interval, or what it does not cover; None where nothing is
            to be said.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int
    examples: int
    note: str | None = None


def interval(
    values: Table,
    *,
    statistic: Statistic = "mean",
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Estimate and interval over crossed seeds and examples.

    Coverage of a nominal 95 % of means, counted over 2000 tables each: 5 seeds × 20 examples
    94.7–96.0, 5 × 8 94.9–96.3, 10 × 50 95.4–96.1, 3 × 20 92.7–96.0; with two seeds that
    differ much 89 (a t with one degree of freedom cannot be estimated better), and 97.5 where
    neither factor has an effect. Medians are covered more often, 96–98. Of skewed
    (exponential) effects of five seeds 88–91.

    Args:
        values: (seeds, examples), NaN where there is no value.
        statistic: "mean" or "median".
        level: the nominal coverage.
        draws: bootstrap resamples.
        seed: of the resamples; equal seeds give equal intervals.

    Returns:
        The `Interval`. With one seed it covers the examples of that one model only, and says
        so; with one value there is none.

    Source: crossed ("pigeonhole") bootstrap, Owen, Annals of Applied Statistics 1 (2007),
    386–411; the stretch for small samples after Hesterberg, The American Statistician 69
    (2015), 371–386, section 5.3; degrees of freedom of a sum of mean squares, Satterthwaite,
    Biometrics Bulletin 2 (1946), 110–114.

    >>> import numpy as np
    >>> found = interval(np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0]]))
    >>> found.value, found.low < 2.0 < 4.0 < found.high
    (3.0, True)
    >>> interval(np.array([[0.5]])).note
    'one value has no interval'
    """
    table = _without_empty(np.atleast_2d(np.asarray(values, dtype=np.float64)))
    counted = int(np.isfinite(table).sum())
    seeds, examples = table.shape if counted else (0, 0)
    if not counted:
        return Interval(math.nan, math.nan, math.nan, 0, 0, 0, "no values")
    value = float(np.nanmean(table) if statistic == "mean" else np.nanmedian(table))
    if counted == 1:
        note = "one value has no interval"
        return Interval(value, math.nan, math.nan, counted, seeds, examples, note)
    low, high = _within(table, *_ends(table, value, statistic, level, draws, seed))
    return Interval(value, low, high, counted, seeds, examples, _note(seeds, examples))


def _note(seeds: int, examples: int) -> str | None:
    if seeds == 1:
        return "one model seed: over examples only"
    return "one example: over model seeds only" if examples == 1 else None


def _within(table: Table, low: float, high: float) -> tuple[float, float]:
    """Values of one sign keep an interval of that sign; noughts and ones one between them."""
    known = table[np.isfinite(table)]
    low = max(low, 0.0) if (known >= 0).all() else low
    high = min(high, 0.0) if (known <= 0).all() else high
    return low, min(high, 1.0) if np.isin(known, (0.0, 1.0)).all() else high


def _without_empty(table: Table) -> Table:
    """Infinite values count as missing; so do rows and columns that hold nothing."""
    table = np.where(np.isfinite(table), table, np.nan)
    held = np.isfinite(table)
    return table[held.any(1)][:, held.any(0)]


def _ends(
    table: Table, value: float, statistic: Statistic, level: float, draws: int, seed: int
) -> tuple[float, float]:
    error, freedom = standard_error(table)
    if error == 0.0:
        return value, value
    weights = _counts(table.shape[0], draws, seed), _counts(table.shape[1], draws, seed + 1)
    means = _resampled_means(table, *weights)
    found = means if statistic == "mean" else _resampled_medians(table, *weights)
    tail = (1 - level) / 2
    low, high = np.nanquantile(found - value, [tail, 1 - tail])
    quantiles = stats.t.ppf(1 - tail, freedom) / stats.norm.ppf(1 - tail)
    stretch = float(quantiles) * error / float(np.nanstd(means))
    return float(value + stretch * low), float(value + stretch * high)


def standard_error(table: Table) -> tuple[float, float]:
    """The mean's standard error over both factors, and its degrees of freedom.

    Of a full table it is √((MS_seed + MS_example − MS_rest) / (S·I)), unbiased for
    σ²_seed/S + σ²_example/I + σ²_rest/(S·I); a factor whose mean square is below the rest's
    counts as absent. With values missing the squares go by each row's and column's count
    (Cameron, Gelbach and Miller, J. Business & Economic Statistics 29 (2011), 238–249).
    """
    seeds, examples = table.shape
    held = np.isfinite(table)
    total, centred = int(held.sum()), np.where(held, table - np.nanmean(table), 0.0)
    if np.abs(centred).max() <= 1e-14 * np.nanmax(np.abs(table)):  # equal but for rounding
        return 0.0, 1.0
    by_seed = _scaled(centred.sum(1), seeds) / total**2
    by_example = _scaled(centred.sum(0), examples) / total**2
    if 1 in table.shape:
        return math.sqrt(by_seed + by_example), float(max(table.shape) - 1)
    freedom = max(total - seeds - examples + 1, 1)
    left = _rest(centred, held)
    rest = float((left**2).sum()) / freedom / total
    candidates = [
        (by_seed, float(seeds - 1)),
        (by_example, float(examples - 1)),
        _sum_of_squares(by_seed, by_example, rest, (seeds - 1, examples - 1, freedom)),
    ]
    variance, degrees = max(candidates)
    return math.sqrt(variance), degrees


def _scaled(sums: Table, count: int) -> float:
    return float((sums**2).sum()) * count / (count - 1) if count > 1 else 0.0


def _rest(centred: Table, held: NDArray[np.bool_]) -> Table:
    rows = centred.sum(1, keepdims=True) / held.sum(1, keepdims=True)
    columns = centred.sum(0, keepdims=True) / held.sum(0, keepdims=True)
    found: Table = np.where(held, centred - rows - columns, 0.0)
    return found


def _sum_of_squares(
    by_seed: float, by_example: float, rest: float, freedoms: tuple[int, int, int]
) -> tuple[float, float]:
    """Satterthwaite: a linear combination of mean squares and its degrees of freedom."""
    variance = by_seed + by_example - rest
    parts = zip((by_seed, by_example, rest), freedoms, strict=True)
    spread = sum(part**2 / freedom for part, freedom in parts)
    return variance, max(variance**2 / spread, float(min(freedoms))) if spread else 1.0


@cache
def _counts(size: int, draws: int, seed: int) -> Table:
    """(draws, size): how often each is drawn when ``size`` are drawn with replacement."""
    chance = np.random.default_rng(seed)
    return chance.multinomial(size, np.full(size, 1 / size), draws).astype(np.float64)


def _resampled_means(table: Table, seeds: Table, examples: Table) -> Table:
    held = np.isfinite(table)
    sums = ((seeds @ np.where(held, table, 0.0)) * examples).sum(1)
    counts = ((seeds @ held.astype(np.float64)) * examples).sum(1)
    with np.errstate(invalid="ignore"):  # a draw may hit missing values only
        found: Table = sums / counts
    return found


def _resampled_medians(table: Table, seeds: Table, examples: Table) -> Table:
    """Weighted medians: the middle of each draw's values, the middle two averaged."""
    rows, columns = np.nonzero(np.isfinite(table))
    order = np.argsort(table[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    ranked = table[rows, columns]
    below = np.cumsum(seeds[:, rows] * examples[:, columns], axis=1)
    total = below[:, -1:]
    lower = (below >= total / 2).argmax(1)
    upper = (below > total / 2).argmax(1)
    found: Table = np.where(total[:, 0] > 0, (ranked[lower] + ranked[upper]) / 2, np.nan)
    return found
