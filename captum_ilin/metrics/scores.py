"""``Scores``: a metric's value for each example, which way is better, and why one is NaN."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Direction", "Scores"]


class Direction(Enum):
    """Which way a metric is better.

    >>> from captum_ilin.metrics import Direction
    >>> Direction.LOWER.arrow
    '↓'
    """

    HIGHER = "higher is better"
    LOWER = "lower is better"
    DESCRIPTIVE = "neither way is better"

    @property
    def arrow(self) -> str:
        """↑, ↓, or nothing for a descriptive metric."""
        return {"HIGHER": "↑", "LOWER": "↓", "DESCRIPTIVE": ""}[self.name]


@dataclass(frozen=True, repr=False)
class Scores:
    """A metric's values, one for each example.

    Attributes:
        metric: its name.
        direction: which way is better.
        values: (batch,), float64 on the CPU; NaN where the metric is undefined.
        reasons: for each example why its value is NaN, None where it is not.

    Raises:
        ValueError: a NaN without a reason, a reason without a NaN, or lengths that differ.

    >>> from captum_ilin.metrics import Direction, Scores
    >>> scores = Scores.of("accuracy", Direction.HIGHER, [0.5, float("nan")], "no mask")
    >>> scores
    Scores(accuracy ↑: mean 0.5, median 0.5, n 1, NaN 1)
    >>> scores.reasons
    (None, 'no mask')
    """

    metric: str
    direction: Direction
    values: Tensor
    reasons: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if self.values.dim() != 1 or len(self.reasons) != len(self.values):
            raise ValueError(
                f"{self.metric}: values of shape {tuple(self.values.shape)} and "
                f"{len(self.reasons)} reasons; expected one of each for every example."
            )
        for row, (missing, reason) in enumerate(
            zip(self.values.isnan().tolist(), self.reasons, strict=True)
        ):
            if missing != (reason is not None):
                raise ValueError(
                    f"{self.metric}: example {row} has value {float(self.values[row])} and "
                    f"reason {reason!r}; a NaN needs a reason, and only a NaN has one."
                )

    @classmethod
    def of(
        cls,
        metric: str,
        direction: Direction,
        values: Tensor | Sequence[float],
        reason: str | Sequence[str | None] = "undefined",
    ) -> Scores:
        """Scores from any tensor or sequence.

        Args:
            metric: the name.
            direction: which way is better.
            values: (batch,)
            reason: why values are NaN: one sentence for all of them, or one for each example.
        """
        found = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach()
        given = [reason] * len(found) if isinstance(reason, str) else list(reason)
        missing = found.isnan().tolist()
        reasons = tuple(r if m else None for r, m in zip(given, missing, strict=True))
        return cls(metric, direction, found, reasons)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        arrow = f" {self.direction.arrow}" if self.direction.arrow else ""
        return (
            f"Scores({self.metric}{arrow}: mean {self.mean():.4g}, median "
            f"{self.median():.4g}, n {len(self) - self.nan_count}, NaN {self.nan_count})"
        )

    @property
    def nan_count(self) -> int:
        """How many examples have no value."""
        return int(self.values.isnan().sum())

    def mean(self) -> float:
        """Mean over the examples that have a value; NaN if none has."""
        return float(self.values.nanmean())

    def median(self) -> float:
        """Median over the examples that have a value (the middle two averaged)."""
        return float(self.values.nanquantile(0.5)) if len(self) else float("nan")
