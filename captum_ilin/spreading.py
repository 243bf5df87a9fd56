"""Cells of one grid laid over another, each cell's value kept: Σ pixels = Σ cells.

Along each dimension a cell's value is shared among the pixels with weights that add up to
one: the part of the cell that lies in each pixel or, smoothly, a tent around its middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["spread"]


def spread(cells: Tensor, size: Sequence[int], *, smooth: bool = False) -> Tensor:
    """``cells`` laid edge to edge over a grid of ``size``, with the same sum.

    Args:
        cells: as many dimensions as ``size`` has numbers.
        smooth: share by a tent instead of by overlap.
    """
    shares = _tents if smooth else _overlaps
    for dim, (to, of) in enumerate(zip(size, cells.shape, strict=True)):
        if to != of or smooth:
            weights = shares(to, of).to(cells)
            cells = torch.tensordot(weights, cells, ([1], [dim])).movedim(0, dim)
    return cells


def _overlaps(to: int, of: int) -> Tensor:
    """(to, of): the part of each of ``of`` stretches that lies in each of ``to``."""
    ends = torch.arange(1, to + 1, dtype=torch.float64)[:, None] / to
    others = torch.arange(1, of + 1, dtype=torch.float64)[None] / of
    overlap = torch.minimum(ends, others) - torch.maximum(ends - 1 / to, others - 1 / of)
    return overlap.clamp(min=0) * of


def _tents(to: int, of: int) -> Tensor:
    """(to, of): linear interpolation, each of ``of`` scaled so that its weights add up to 1.

    The tent is as wide as a cell or a pixel, whichever is wider, so that it reaches one.
    """
    middles = (torch.arange(to, dtype=torch.float64)[:, None] + 0.5) * of / to
    others = torch.arange(of, dtype=torch.float64)[None] + 0.5
    weights = (1 - (middles - others).abs() / max(1.0, of / to)).clamp(min=0)
    return weights / weights.sum(0)
