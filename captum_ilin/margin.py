"""``RegionMargin``: how far the boundary of a region is from the operating point.

The hyperplane on which a gap h_u is 0 lies at the ℓ2 distance |h_u| / ‖∂h_u‖, and the boundary
at the least of them: the hyperplane nearest to a point in a polytope is one of its faces.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from captum_ilin.tracing import Tracing, run_at

if TYPE_CHECKING:
    from captum_ilin.affine import AffineMap
    from captum_ilin.gap import Gap
    from captum_ilin.ruletable import RuleTable

__all__ = ["RegionMargin", "exact_margin", "gradient_norms"]


class RegionMargin(NamedTuple):
    """How far the boundary of a region is, and where it is nearest.

    Attributes:
        distance: in ℓ2 over all inputs together; inf if the region has no boundary.
        op, module, unit: as in `RegionExit`.

    >>> RegionMargin(0.25, "relu", "encoder.1", unit=(0, 3)).distance
    0.25
    """

    distance: float
    op: str = ""
    module: str = ""
    unit: tuple[int, ...] = ()


def exact_margin(affine_map: AffineMap, rows: int) -> RegionMargin:
    """The least distance of all gaps, ``rows`` gradients at a time."""
    leaves = [leaf.detach().requires_grad_() for leaf in affine_map.leaves]
    tracing = _Nearest(affine_map.freezing.rules, leaves, rows)
    run_at(tracing, affine_map, leaves)
    return tracing.nearest


class _Nearest(Tracing):
    """Measures each gap as soon as it is seen, so that none is kept."""

    def __init__(self, rules: RuleTable, leaves: list[Tensor], rows: int) -> None:
        super().__init__(rules)
        self.nearest = RegionMargin(math.inf)
        self._leaves, self._rows = leaves, rows

    def visit(self, name: str, gap: Gap) -> None:
        distances = gap.distance.flatten()
        if not distances.requires_grad or not distances.numel():
            return
        parts = distances.split(self._rows)
        norms = torch.cat([gradient_norms(part, self._leaves) for part in parts])
        found = torch.where(norms > 0, distances.detach().abs() / norms, math.inf)
        position = int(found.argmin())
        if found[position] < self.nearest.distance:
            self.nearest = RegionMargin(
                float(found[position]), name, self._locator.path(), gap.unit(position)
            )


def gradient_norms(gaps: Tensor, leaves: list[Tensor]) -> Tensor:
    """‖∂h_u‖₂ over all inputs, for each of the gaps (units,)."""
    gradients = torch.autograd.grad(
        gaps,
        leaves,
        torch.eye(len(gaps), dtype=gaps.dtype, device=gaps.device),
        is_grads_batched=True,
        retain_graph=True,
        allow_unused=True,
    )
    squares = [g.flatten(1).square().sum(1) for g in gradients if g is not None]
    return torch.stack(squares).sum(0).sqrt() if squares else torch.zeros_like(gaps).detach()
