"""Intervals and tests for paired comparisons of methods over model seeds and examples."""

from comparisons.statistics.friedman import Friedman, critical_difference, friedman
from comparisons.statistics.interval import Interval, interval
from comparisons.statistics.signedrank import SignedRank, holm, signed_rank, smallest_p

__all__ = [
    "Friedman",
    "Interval",
    "SignedRank",
    "critical_difference",
    "friedman",
    "holm",
    "interval",
    "signed_rank",
    "smallest_p",
]
