"""``Segment``: a stretch of a recorded graph, between results and sources, by rows.

Rows of ∂results/∂sources are computed together by mapping the backward pass over them, where
every op of the stretch can be mapped.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.allocation import Allocation
from captum_ilin.casting import NO_AUTOCAST
from captum_ilin.derivatives import weights_of
from captum_ilin.errors import saying_what_has_no_derivative

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.autograd.graph import GradientEdge

    Row = tuple[Tensor, ...]

__all__ = ["Segment"]


@dataclass(frozen=True)
class Segment:
    """The graph from ``sources`` to ``results``, both with the batch in front.

    Attributes:
        results: the values of which rows are taken, or where they are in the graph.
        like: a tensor shaped like the results.
        sources: the values with respect to which they are taken, likewise.
        patterns: a tensor shaped like each source.
        columns: which of the results of an example have a row, in this order; None for all.
    """

    results: Tensor | GradientEdge
    like: Tensor
    sources: tuple[Tensor, ...] | tuple[GradientEdge, ...]
    patterns: tuple[Tensor, ...]
    columns: Tensor | None = None

    @classmethod
    def between(cls, results: Tensor, sources: tuple[Tensor, ...]) -> Segment:
        """The graph between tensors."""
        return cls(results, results.detach(), sources, tuple(map(Tensor.detach, sources)))

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.like[0].numel() if self.columns is None else len(self.columns)

    def _pulled(self, vector: Tensor) -> tuple[Tensor | None, ...]:
        """The backward pass of one vector, shaped like the results; None where it ends."""
        if isinstance(self.results, Tensor) and not self.results.requires_grad:
            return (None,) * len(self.sources)
        return torch.autograd.grad(
            self.results, self.sources, vector, retain_graph=True, allow_unused=True
        )

    def chunks(self, limit: int, one: int, start: int = 0) -> Iterator[tuple[int, Row]]:
        """The rows from ``start`` on, as many at once as ``limit`` bytes allow, in front.

        What some rows take is at least their part of what more take: two tell how many can be
        tried, and these how many more.

        Args:
            one: the bytes that one row takes; two are only tried where twice that fits.
        """
        together = 2 if 2 * one <= limit and self.count - start > 1 else 1
        is_growing = together > 1
        while start < self.count:
            stop = min(start + together, self.count)
            if is_growing:
                rows, fit = self._measured(start, stop, limit)
                is_growing, together = fit > 1.25 * together, max(1, fit)
            else:
                rows = self.rows(start, stop) if together > 1 else self._row(start)
            yield start, rows
            start += len(rows[0])
            del rows  # not held while the next are computed

    def _measured(self, start: int, stop: int, limit: int) -> tuple[Row, int]:
        """The rows, and how many of them fit; one where the backward pass is not mapped."""
        try:
            with warnings.catch_warnings(), Allocation() as taken:
                warnings.filterwarnings("error", message=".*performance drop.*batching rule")
                rows = self.rows(start, stop)
        except (RuntimeError, UserWarning):  # an op without a batching rule
            return self._row(start), 1
        return rows, (stop - start) * limit // max(taken.peak, 1)

    def _row(self, number: int) -> Row:
        """One row, in front of the batch."""
        with NO_AUTOCAST.restored(), saying_what_has_no_derivative():
            slopes = self._pulled(self._unit_vectors(number, number + 1)[0])
        return tuple(weight[None] for weight in weights_of(slopes, self.patterns))

    def rows(self, start: int, stop: int) -> Row:
        """Rows ``start`` to ``stop``, in front of the batch.

        By ``torch.func.vmap``: ``is_grads_batched`` takes convolutions one by one.
        """
        reached: list[int] = []

        def pulled(combination: Tensor) -> Row:
            slopes = self._pulled(combination)
            reached[:] = [place for place, slope in enumerate(slopes) if slope is not None]
            return tuple(slope for slope in slopes if slope is not None)

        with NO_AUTOCAST.restored():
            found = torch.func.vmap(pulled)(self._unit_vectors(start, stop))
        slopes: list[Tensor | None] = [None] * len(self.sources)
        for place, slope in zip(reached, found, strict=True):
            slopes[place] = slope
        number = stop - start
        return weights_of(
            tuple(slopes), tuple(like.expand(number, *like.shape) for like in self.patterns)
        )

    def _unit_vectors(self, start: int, stop: int) -> Tensor:
        """One for each row, the same in every example."""
        units = self.like.new_zeros(stop - start, len(self.like), self.like[0].numel())
        if self.columns is None:
            units.diagonal(start, 0, 2).fill_(1)
        else:
            places = self.columns[start:stop]
            units[torch.arange(len(places), device=places.device), :, places] = 1
        return units.reshape(-1, *self.like.shape)
