"""``signed_rank``: whether one method beats another on the same examples; ``holm`` for many.

Pairs are *examples*, each averaged over the model seeds first: the examples are drawn
independently, the seeds' values for one example are not, and counting them as pairs would
claim seeds × examples independent observations where there are only as many as examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["RESOLUTION", "SignedRank", "holm", "signed_rank", "smallest_p"]

RESOLUTION = 2.0**-16  # of float32's 2⁻²⁴, what sums of some ten thousand terms leave certain
EXACT = 50  # pairs up to which the null distribution is counted out


@dataclass(frozen=True)
class SignedRank:
    """A paired comparison.

    Attributes:
        p: two-sided.
        effect: matched-pairs rank-biserial correlation, (W⁺ − W⁻)/(W⁺ + W⁻), from −1 (the
            second is greater on every example) to 1 (the first is).
        pairs: how many examples both have.
        differing: how many of those differ, so enter the test.
        dropped: how many examples lack one of the two.
        reason: why p is 1 by convention; None where it was computed.
    """

    p: float
    effect: float
    pairs: int
    differing: int
    dropped: int
    reason: str | None = None


def signed_rank(first: ArrayLike, second: ArrayLike) -> SignedRank:
    """Wilcoxon's signed-rank test of paired values.

    Differences below ``RESOLUTION`` of the greater value are rounding, and count as zero;
    zeros are left out (Wilcoxon's treatment). Up to ``EXACT`` pairs p is exact given the
    ranks, ties included; above, SciPy's normal approximation.

    Args:
        first, second: (examples,) values; a NaN in either drops the pair.

    Returns:
        The `SignedRank`; p = 1 with the reason where nothing differs or nothing is paired.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945), 80–83; effect size after Kerby,
    Comprehensive Psychology 3 (2014), 11.IT.3.1.

    >>> found = signed_rank([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.5, 1.0, 1.5, 2.0])
    >>> found.p, found.effect  # 2/2⁵: all five on one side
    (0.0625, 1.0)
    >>> signed_rank([1.0, 2.0], [1.0, 2.0]).reason
    'no example differs'
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = np.isfinite(one) & np.isfinite(two)
    dropped, pairs = int((~both).sum()), int(both.sum())
    difference = one[both] - two[both]
    floor = RESOLUTION * np.maximum(np.abs(one[both]), np.abs(two[both]))
    difference = difference[np.abs(difference) > floor]
    if not len(difference):
        reason = "no example differs" if pairs else "no example has both values"
        return SignedRank(1.0, 0.0, pairs, 0, dropped, reason)
    ranks = stats.rankdata(np.abs(difference))
    positive, total = float(ranks[difference > 0].sum()), float(ranks.sum())
    if len(difference) <= EXACT:
        p = _exact(ranks, positive)
    else:
        p = float(stats.wilcoxon(difference, method="approx").pvalue)
    effect = (2 * positive - total) / total
    return SignedRank(p, effect, pairs, len(difference), dropped)


def _exact(ranks: NDArray[np.float64], positive: float) -> float:
    """Twice the smaller tail of W⁺ when each sign is a fair coin."""
    doubled = tuple(sorted(int(2 * rank) for rank in ranks))  # tied ranks are halves
    below = _cumulated(doubled)
    smaller = int(2 * min(positive, float(ranks.sum()) - positive))
    return min(1.0, 2 * float(below[smaller]))


@lru_cache(maxsize=4096)
def _cumulated(ranks: tuple[int, ...]) -> NDArray[np.float64]:
    """P(W⁺ ≤ w) for w = 0 … Σ ranks."""
    chance = np.zeros(sum(ranks) + 1)
    chance[0] = 1.0
    for rank in ranks:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: len(chance) - rank]
        chance = (chance + moved) / 2
    found: NDArray[np.float64] = chance.cumsum()
    return found


def smallest_p(pairs: int) -> float:
    """The least p that so many pairs can give, 2/2ⁿ: with few examples no difference shows.

    >>> smallest_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - pairs))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p that hold the family-wise error over all.

    NaN (no test) stays NaN and is no member of the family.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65–70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted, floor = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(known):
        floor = max(floor, min(1.0, (len(known) - rank) * value))
        adjusted[place] = floor
    return adjusted
