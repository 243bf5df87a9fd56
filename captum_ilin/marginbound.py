"""``MarginBound``: the margin of a large network, between two numbers.

Along a direction d of independent standard normal numbers the slope s_u = ∂h_u·d of a gap is
normal with variance ‖∂h_u‖², and one forward-mode pass gives those of all gaps. Over K such
directions Σ s_u² = ‖∂h_u‖² χ²_K, so that

    |h_u| √(q / Σ s_u²) ≤ |h_u| / ‖∂h_u‖,   P(χ²_K < q) = 1 − confidence,

holds for any one unit with the confidence asked for: also for the nearest, which is the same
whatever is drawn. The least of all left sides is therefore no more than the margin, with that
confidence. The few units for which it is least are measured, from the least on, until no other
can be nearer than the nearest measured.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from captum_ilin.chisquare import chi_square_quantile
from captum_ilin.line import Line, follow
from captum_ilin.margin import RegionMargin, gradient_norms
from captum_ilin.tracing import Tracing, run_at

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.affine import AffineMap
    from captum_ilin.gap import Gap
    from captum_ilin.ruletable import RuleTable

__all__ = ["MarginBound", "bounded_margin"]


class MarginBound(NamedTuple):
    """Two numbers that the margin of a region lies between.

    Attributes:
        distance: no boundary is nearer, with probability ``confidence`` over the directions
            that were drawn. Equal to ``at_most``, it is the margin.
        at_most: the distance of the nearest unit that was measured, which surely bounds the
            margin from above; inf if none was.
        confidence: how probable it was that the directions would give a true ``distance``.
        op, module, unit: of the unit at ``at_most``, as in `RegionExit`.

    >>> MarginBound(0.25, 0.25, 0.999, "relu", "encoder.1", unit=(0, 3)).at_most
    0.25
    """

    distance: float
    at_most: float
    confidence: float
    op: str = ""
    module: str = ""
    unit: tuple[int, ...] = ()


class Candidate(NamedTuple):
    """A unit that may be the nearest: it is no nearer than ``bound``."""

    bound: float
    number: int  # of its gap, in the order of the run
    position: int


def bounded_margin(
    affine_map: AffineMap,
    *,
    directions: int,
    confidence: float,
    candidates: int,
    seed: int,
) -> MarginBound:
    """The margin, bounded by random directions and by the candidates measured."""
    line = _SquaredSlopes(affine_map.freezing.rules)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(directions):
        line.number = -1
        follow(line, affine_map, [_normal(leaf, generator) for leaf in affine_map.leaves])
    quantile = chi_square_quantile(1 - confidence, directions)
    found = line.nearest(candidates + 1, quantile)
    chosen, beyond = found[:candidates], found[candidates:]
    nearest = _measured(affine_map, chosen)
    distance = min([nearest.distance, *(candidate.bound for candidate in beyond)])
    return MarginBound(distance, nearest.distance, confidence, *nearest[1:])


def _normal(leaf: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn in float64 on the CPU: the same numbers whatever the inputs' dtype and device."""
    return torch.randn(leaf.shape, generator=generator, dtype=torch.float64).to(leaf)


class _SquaredSlopes(Line):
    """Σ (∂h·d)² of every gap, over the directions followed."""

    def __init__(self, rules: RuleTable) -> None:
        super().__init__(rules)
        self._distances: dict[int, Tensor] = {}
        self._squares: dict[int, Tensor] = {}

    def visit(self, name: str, gap: Gap, distance: Tensor, slope: Tensor) -> None:
        if self.number in self._squares:
            self._squares[self.number] += slope.square()
        else:
            self._distances[self.number] = distance.abs()
            self._squares[self.number] = slope.square()

    def nearest(self, count: int, quantile: float) -> list[Candidate]:
        """The units with the least bounds, in their order."""
        found: list[Candidate] = []
        for number, squares in self._squares.items():
            bounds = self._distances[number] * (quantile / squares).sqrt()
            bounds = bounds.nan_to_num(
                nan=math.inf, posinf=math.inf
            ).flatten()  # 0 · ∞: at rest
            least = bounds.topk(min(count, bounds.numel()), largest=False)
            parts = zip(least.values.tolist(), least.indices.tolist(), strict=True)
            found += [Candidate(bound, number, place) for bound, place in parts]
        moving = (candidate for candidate in found if candidate.bound < math.inf)
        return sorted(moving)[:count]


def _measured(affine_map: AffineMap, candidates: list[Candidate]) -> RegionMargin:
    """The nearest of the candidates, and of all others that are not bounded below it."""
    leaves = [leaf.detach().requires_grad_() for leaf in affine_map.leaves]
    tracing = _Chosen(affine_map.freezing.rules, candidates)
    if candidates:
        run_at(tracing, affine_map, leaves)
    nearest = RegionMargin(math.inf)
    for candidate in candidates:
        if candidate.bound >= nearest.distance:
            break
        margin = tracing.margin(candidate, leaves)
        nearest = min(nearest, margin, key=lambda found: found.distance)
    return nearest


class _Chosen(Tracing):
    """Keeps the chosen units, and the graph that they were made by."""

    def __init__(self, rules: RuleTable, candidates: list[Candidate]) -> None:
        super().__init__(rules)
        self._positions: dict[int, list[int]] = {}
        for _, number, position in candidates:
            self._positions.setdefault(number, []).append(position)
        self._kept: dict[tuple[int, int], tuple[Tensor, RegionMargin]] = {}

    def visit(self, name: str, gap: Gap) -> None:
        for position in self._positions.get(self.number, ()):
            value = gap.distance.flatten()[position].clone()  # the op may overwrite it
            unit = gap.unit(position)
            place = RegionMargin(math.inf, name, self._locator.path(), unit)
            self._kept[self.number, position] = value, place

    def margin(self, candidate: Candidate, leaves: list[Tensor]) -> RegionMargin:
        """The distance of one of the chosen, from its gradient."""
        value, place = self._kept[candidate.number, candidate.position]
        norm = gradient_norms(value[None], leaves)
        return place._replace(distance=float(value.detach().abs() / norm))
