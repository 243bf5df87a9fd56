"""Does a number that is read before predict which examples fail after? The AUC, and how sure.

The AUC is the share of pairs, one example that fails and one that does not, in which the one
that fails has the lower number, a tie counting a half. Of several networks it is the mean. The
95 % interval is that of 2,000 resamples of the images, the same for all networks and numbers,
so that differences are paired (the networks are held).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

__all__ = ["Interval", "Outcome", "areas", "interval_of"]

DRAWS = 2000


@dataclass(frozen=True)
class Outcome:
    """Of one network: which images count, which of them fail, and a number for each.

    Attributes:
        counts: right before, (n,) of bool.
        failed: wrong after, (n,) of bool.
        score: lower is more likely to fail, (n,).
    """

    counts: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    score: Numbers


@dataclass(frozen=True)
class Interval:
    """A value, and the interval of 95 % of its resamples."""

    value: float
    low: float
    high: float


def areas(outcomes: Sequence[Outcome], draws: int = DRAWS) -> Numbers:
    """The mean AUC over networks: of the images as they are, then of each resample.

    A network on which none or all fail counts nothing; NaN where none is left.

    >>> import numpy as np
    >>> yes = np.array([True, True, True])
    >>> one = Outcome(yes, np.array([True, False, False]), np.array([0.5, 0.1, 0.9]))
    >>> float(areas([one], draws=0)[0])
    0.5
    """
    n = len(outcomes[0].score)
    chance = np.random.default_rng(0)
    drawn = chance.multinomial(n, np.full(n, 1 / n), draws).astype(np.float64)
    weights = np.vstack([np.ones((1, n)), drawn])
    with np.errstate(invalid="ignore"):
        found = np.stack([_areas(outcome, weights) for outcome in outcomes])
        known = np.isfinite(found)
        total: Numbers = np.where(known, found, 0).sum(0) / known.sum(0)
    return total


def interval_of(values: Numbers) -> Interval:
    """Of what `areas` gives, or of the difference of two of them."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def _areas(outcome: Outcome, weights: Numbers) -> Numbers:
    failed = outcome.counts & outcome.failed
    held = outcome.counts & ~outcome.failed
    one, other = outcome.score[failed][:, None], outcome.score[held][None, :]
    wins = (one < other) + 0.5 * (one == other)
    first, second = weights[:, failed], weights[:, held]
    found: Numbers = ((first @ wins) * second).sum(1) / (first.sum(1) * second.sum(1))
    return found
