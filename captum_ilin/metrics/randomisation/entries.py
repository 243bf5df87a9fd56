"""``Entries``: values in a grid (seeds, layers, …) × examples, and why some are NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Entries"]


@dataclass(frozen=True, repr=False)
class Entries:
    """One value for each place of a grid and each example.

    Attributes:
        values: (\\*grid, examples), float64 on the CPU.
        reasons: place and example → why the value there is NaN.

    >>> from captum_ilin.metrics import Direction, Entries, Scores
    >>> rows = [Scores.of("a", Direction.DESCRIPTIVE, [0.5, 1.0]) for _ in range(3)]
    >>> Entries.stacked(rows).averaged("a").values
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    values: Tensor
    reasons: Mapping[tuple[int, ...], str]

    def __repr__(self) -> str:
        return f"Entries({tuple(self.values.shape)}, {len(self.reasons)} NaN)"

    @classmethod
    def stacked(cls, scores: Sequence[Scores], *grid: int) -> Entries:
        """Scores of the grid's places, in order, as one grid (default: one dimension)."""
        shape = grid or (len(scores),)
        values = torch.stack([row.values for row in scores]).reshape(*shape, -1)
        found = [reason for row in scores for reason in row.reasons]
        missing = values.isnan().nonzero().tolist()
        named = [reason for reason in found if reason is not None]
        places = (tuple(place) for place in missing)
        return cls(values, dict(zip(places, named, strict=True)))

    @classmethod
    def joined(cls, chunks: Sequence[Entries]) -> Entries:
        """Grids of successive examples side by side."""
        start, reasons = 0, {}
        for chunk in chunks:
            for (*place, example), reason in chunk.reasons.items():
                reasons[(*place, start + example)] = reason
            start += chunk.values.shape[-1]
        return cls(torch.cat([chunk.values for chunk in chunks], -1), reasons)

    def at(self, *place: int, metric: str = "") -> Scores:
        """The examples' values at one place of the grid."""
        values = self.values[place]
        reasons = [self.reasons.get((*place, row)) for row in range(len(values))]
        return Scores.of(metric, Direction.DESCRIPTIVE, values, reasons)

    def averaged(self, metric: str = "") -> Scores:
        """Each example's mean over the grid's places that have a value."""
        reasons: list[str | None] = [None] * self.values.shape[-1]
        for place, reason in self.reasons.items():
            reasons[place[-1]] = reasons[place[-1]] or reason
        values = self.values.flatten(0, -2).nanmean(0)
        return Scores.of(metric, Direction.DESCRIPTIVE, values, reasons)
