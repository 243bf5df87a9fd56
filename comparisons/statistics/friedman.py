"""``friedman``: whether methods differ at all, by their ranks on each example; and the
critical difference above which two mean ranks differ (Nemenyi). Secondary to `signed_rank`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from captum_ilin.metrics import Direction
from comparisons.plural import counted
from comparisons.statistics.signedrank import RESOLUTION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[np.float64]

__all__ = ["Friedman", "critical_difference", "friedman"]


@dataclass(frozen=True)
class Friedman:
    """Mean ranks of methods, 1 the best.

    Attributes:
        ranks: (methods,) mean rank over the examples that every method has.
        p: Friedman's; NaN with a reason where there is no test.
        critical: two mean ranks further apart than this differ; NaN without a test.
        blocks: how many examples.
        dropped: how many examples lack a method.
        reason: why there is no test.
    """

    ranks: Table
    p: float
    critical: float
    blocks: int
    dropped: int
    reason: str | None = None


def friedman(values: Table, direction: Direction) -> Friedman:
    """Friedman's test over examples.

    Args:
        values: (methods, examples), averaged over model seeds; examples with a NaN are
            dropped.
        direction: which way is better.

    Source: Friedman, J. American Statistical Association 32 (1937), 675–701; Demšar, JMLR 7
    (2006), 1–30, section 3.2.

    >>> import numpy as np
    >>> from captum_ilin.metrics import Direction
    >>> three = np.array([[9.0, 8.0, 9.0, 7.0], [5.0, 6.0, 5.0, 5.0], [1.0, 2.0, 3.0, 1.0]])
    >>> friedman(three, Direction.HIGHER).ranks.tolist()
    [1.0, 2.0, 3.0]
    """
    whole = np.isfinite(values).all(0)
    methods, blocks = len(values), int(whole.sum())
    dropped = values.shape[1] - blocks
    some = methods and blocks
    ranks = _ranks(values[:, whole], direction) if some else np.full((methods, 1), np.nan)
    reason = _no_test(methods, blocks, ranks)
    if reason:
        return Friedman(ranks.mean(1), math.nan, math.nan, blocks, dropped, reason)
    p = float(stats.friedmanchisquare(*ranks).pvalue)
    critical = critical_difference(methods, blocks)
    return Friedman(ranks.mean(1), p, critical, blocks, dropped)


def _ranks(values: Table, direction: Direction) -> Table:
    """(methods, examples) ranks; values that differ by rounding share theirs."""
    signed = -values if direction is Direction.HIGHER else values
    order = np.argsort(signed, axis=0, kind="stable")
    ordered = np.take_along_axis(signed, order, axis=0)
    size = np.maximum(np.abs(ordered[1:]), np.abs(ordered[:-1]))
    new = np.vstack(
        [np.zeros((1, values.shape[1])), np.diff(ordered, axis=0) > RESOLUTION * size]
    )
    groups = np.empty_like(new)
    np.put_along_axis(groups, order, new.cumsum(0), axis=0)
    found: Table = stats.rankdata(groups, axis=0)
    return found


def _no_test(methods: int, blocks: int, ranks: Table) -> str | None:
    if methods < 3:
        return f"{counted(methods, 'method')}; Friedman's test needs three"
    if blocks < 2:
        have = counted(blocks, "example has", "examples have")
        return f"{have} every method; Friedman's test needs two"
    return "every method has the same rank" if float(np.ptp(ranks)) == 0.0 else None


def critical_difference(methods: int, blocks: int, level: float = 0.95) -> float:
    """Nemenyi's q √(k(k+1)/(6N)), q the studentised range's quantile over √2.

    Source: Demšar, JMLR 7 (2006), section 3.2.2 and table 5.

    >>> round(critical_difference(4, 14), 2)  # Demšar's example: q = 2.569
    1.25
    """
    quantile = stats.studentized_range.ppf(level, methods, np.inf) / math.sqrt(2)
    return float(quantile) * math.sqrt(methods * (methods + 1) / (6 * blocks))
