"""``Region``: where the affine map of a piecewise linear network is the network itself.

A network of piecewise affine ops equals W x + b on the whole polytope of inputs with the same
activation pattern, on which no gap h_u of any op changes its sign. Every gap is affine there:
along x0 + t d the first one to reach 0 does so at

    t* = min over u of −h_u / (∂h_u·d), where that is positive,

from one forward-mode pass; and the nearest of the hyperplanes h_u = 0 lies at the distance
min over u of |h_u| / ‖∂h_u‖₂, which is that of the polytope's boundary from x0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from captum_ilin.checks import check_direction
from captum_ilin.errors import RegionError
from captum_ilin.exits import RegionExit, first_exit
from captum_ilin.margin import RegionMargin, exact_margin
from captum_ilin.marginbound import MarginBound, bounded_margin
from captum_ilin.tracing import Counting, run_at

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.affine import AffineMap

__all__ = ["Region", "region_of"]


@dataclass(frozen=True)
class Region:
    """The inputs at which a piecewise linear network is one affine map.

    Made by ``AffineMap.region``. The inputs are one point, all rows of a batch together: it
    is left as soon as one row changes its pattern, and ``unit`` starts with that row.

    Attributes:
        units: how many gaps bound it, over all ops.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> linearize(torch.relu, torch.ones(1, 3)).region().units
    3
    """

    affine_map: AffineMap
    units: int

    def exit(self, direction: Tensor | tuple[Tensor, ...]) -> RegionExit:
        """The exact step at which the activation pattern first changes along ``direction``.

        For every 0 ≤ t < step, F(x0 + t d) = W (x0 + t d) + b. On a boundary the step may be 0.
        Work in float64: of the millions of units of a large network, rounding decides in
        float32 which is nearest to its kink.

        Args:
            direction: d, shaped like the inputs, a tuple for a tuple. Not zero.

        Returns:
            RegionExit: the step, and which unit of which op changes there.

        Raises:
            PointError: the direction is zero, or not shaped like the inputs.

        Cost: one forward-mode pass.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> region = linearize(torch.relu, torch.tensor([[1.0, 3.0]])).region()
        >>> region.exit(torch.tensor([[-0.5, -1.0]]))
        RegionExit(step=2.0, op='relu', module='', unit=(0, 0))
        >>> region.exit(torch.tensor([[1.0, 1.0]])).step
        inf
        """
        steps = check_direction(direction, self.affine_map.leaves)
        return first_exit(self.affine_map, steps)

    def margin(self, *, max_units: int = 100_000, rows: int = 256) -> RegionMargin:
        """The ℓ2 distance from the inputs to the boundary, in the worst direction.

        A step shorter than this changes no unit, whatever its direction. It is exact: the
        nearest hyperplane of a polytope's inequalities is one of its faces.

        Args:
            max_units (int, optional): the most gaps to measure. Default: 100,000.
            rows (int, optional): gradients in memory at once. Default: 256.

        Returns:
            RegionMargin: the distance, and the unit that is nearest to changing.

        Raises:
            RegionError: the region has more than ``max_units`` gaps.

        Cost: one backward pass for each gap, ``rows`` at a time, and the graph of all gaps.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> linearize(torch.relu, torch.tensor([[1.0, 3.0]])).region().margin()
        RegionMargin(distance=1.0, op='relu', module='', unit=(0, 0))
        """
        _check_at_least(1, rows, "rows")
        if self.units > max_units:
            raise RegionError(
                f"The region is bounded by {self.units} gaps, each of which costs a backward "
                f"pass; max_units is {max_units}. Call margin_bound(), which measures few of "
                "them, or pass a larger max_units to wait for all."
            )
        return exact_margin(self.affine_map, rows)

    def margin_bound(
        self,
        *,
        directions: int = 16,
        confidence: float = 0.999999,
        candidates: int = 64,
        seed: int = 0,
    ) -> MarginBound:
        """The margin of a network of any size, between two numbers.

        Slopes along random directions bound the distances of all units from below; those
        that this leaves in question are measured, nearest first. Where all of them are, the
        two numbers are equal, and are the margin.

        The lower one is probabilistic: it is wrong with a probability of at most
        1 − ``confidence`` over the directions drawn, whatever the network. `margin` trusts
        nothing, and measures all.

        Args:
            directions (int, optional): K; more of them bound closer. Default: 16.
            confidence (float, optional): that no unit is nearer. Default: 0.999999.
            candidates (int, optional): the most units to measure. Default: 64.
            seed (int, optional): of the directions; no other generator is used. Default: 0.

        Returns:
            MarginBound: the two numbers, and the nearest unit measured.

        Raises:
            RegionError: a number out of its range.

        Cost: a forward-mode pass for each direction, and a forward and a backward pass for
        each unit measured. Keeps two numbers for each gap.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> region = linearize(torch.relu, torch.tensor([[1.0, 3.0]])).region()
        >>> bound = region.margin_bound()
        >>> bound.distance, bound.at_most, bound.unit
        (1.0, 1.0, (0, 0))
        """
        _check_at_least(1, directions, "directions")
        _check_at_least(0, candidates, "candidates")
        if not 0 < confidence < 1:
            raise RegionError(
                f"confidence is {confidence}; expected a number between 0 and 1, such as "
                "0.999, because directions drawn by chance never give certainty. For that "
                "call margin()."
            )
        return bounded_margin(
            self.affine_map,
            directions=directions,
            confidence=confidence,
            candidates=candidates,
            seed=seed,
        )


def region_of(affine_map: AffineMap) -> Region:
    """The region, if every op at the operating point is piecewise affine."""
    counting = Counting(affine_map.freezing.rules)
    run_at(counting, affine_map, [leaf.detach().requires_grad_() for leaf in affine_map.leaves])
    return Region(affine_map, counting.units)


def _check_at_least(least: int, value: int, name: str) -> None:
    if value < least:
        raise RegionError(f"{name} is {value}; expected at least {least}.")
