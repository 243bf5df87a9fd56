"""``Region``: where the affine map of a piecewise linear network is the network itself.

A network of piecewise affine ops equals W x + b on the whole polytope of inputs with the same
activation pattern, {x : g_u(x) ≥ 0 for every gap g_u of every op}. Every gap is affine there:
along x0 + t d the first one to reach 0 does so at

    t* = min over u with ∂g_u·d < 0 of  −g_u(x0) / (∂g_u·d),

from one forward-mode pass; and the nearest of the hyperplanes g_u = 0 lies at the distance
min over u of g_u(x0) / ‖∂g_u‖₂, which is that of the polytope's boundary from x0.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from captum_ilin.checks import check_direction
from captum_ilin.dispatched import identity, spelled
from captum_ilin.errors import RegionError
from captum_ilin.freezing import Freezing
from captum_ilin.modes import gradients_on
from captum_ilin.rule import Kind, op_name
from captum_ilin.rules.kinks import KINKS, MULTILINEAR
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.affine import AffineMap
    from captum_ilin.arguments import Arguments
    from captum_ilin.location import Site
    from captum_ilin.rule import Op, Rule

__all__ = ["Region", "RegionExit", "RegionMargin", "region_of"]


class RegionExit(NamedTuple):
    """Where a line leaves a region.

    Attributes:
        step: t*, in multiples of the direction; inf if the pattern never changes.
        op: name of the op whose piece changes first, empty if none does.
        module: path of the module that called it.
        unit: index of the entry that changes: in the op's input, batch first; for pooling in
            its output, and the candidate in the window; for sorting in sorted order.

    >>> print(RegionExit(0.5, "relu", "encoder.1", unit=(0, 3)))
    RegionExit(step=0.5, op='relu', module='encoder.1', unit=(0, 3))
    """

    step: float
    op: str = ""
    module: str = ""
    unit: tuple[int, ...] = ()


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
        with forward_ad.dual_level():
            tracing = _FirstExit(self.affine_map.freezing.rules)
            tracing.trace(self.affine_map, _moving(self.affine_map.leaves, steps))
        return tracing.first

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
        if self.units > max_units:
            raise RegionError(
                f"The region is bounded by {self.units} gaps, each of which costs a backward "
                f"pass; max_units is {max_units}. Pass a larger max_units to wait for it, or "
                "ask exit(direction) along the directions that matter, one pass each."
            )
        tracing = _AllGaps(self.affine_map.freezing.rules)
        leaves = [leaf.detach().requires_grad_() for leaf in self.affine_map.leaves]
        tracing.trace(self.affine_map, leaves)
        found = [_nearest(gap, leaves, site, rows) for site, gap in tracing.gaps]
        return min(found, key=lambda margin: margin.distance, default=RegionMargin(math.inf))


def region_of(affine_map: AffineMap) -> Region:
    """The region, if every op at the operating point is piecewise affine."""
    counting = _Counting(affine_map.freezing.rules)
    counting.trace(affine_map, [leaf.detach() for leaf in affine_map.leaves])
    return Region(affine_map, counting.units)


class _Tracing(Freezing):
    """Freezing that visits the gaps of every piecewise op, and refuses what has none."""

    has_gradients = False  # of the gaps, which cost a graph

    def trace(self, affine_map: AffineMap, points: list[Tensor]) -> None:
        """Run the forward function of ``affine_map`` at ``points``."""
        forward_func, autocast = affine_map.forward_func, affine_map.freezing.autocast
        with gradients_on():
            entered = [self.enter(_active(point)) for point in points]
        with buffers_kept(forward_func), autocast.restored(), self.run():
            outputs = forward_func(*entered, *affine_map.constants)
        self.finish(outputs)

    def visit(self, site: Site, gap: Tensor) -> None:
        """See a tensor of gaps."""
        raise NotImplementedError

    def _treat_active(self, func: Op, rule: Rule | None, arguments: Arguments) -> Any:
        if rule is not None and rule.kind is Kind.DECOMPOSITION:
            return super()._treat_active(func, rule, arguments)
        name = op_name(func) if rule is None else rule.name
        gaps = _gaps_of(func)
        if gaps is not None and _keeps_slope(rule) and not _is_complex(arguments):
            self._visit_all(name, gaps, arguments)
        elif not _is_affine(func, rule, arguments):
            raise _not_piecewise(self._site(name), rule)
        return super()._treat_active(func, rule, arguments)

    def _visit_all(
        self, name: str, gaps: Callable[..., list[Tensor]], arguments: Arguments
    ) -> None:
        with gradients_on() if self.has_gradients else torch.no_grad():
            found = gaps(*arguments.args, **arguments.kwargs)
        for gap in found:
            if gap.numel():
                self.visit(self._site(name), gap)

    def _freeze_foreign(self) -> None:
        for value in self.activity.foreign:
            if not self._foreign.passes_by(value):
                name = "" if value.grad_fn is None else value.grad_fn.name()
                raise _not_piecewise(self._site(name), None)
        super()._freeze_foreign()


class _Counting(_Tracing):
    units = 0

    def visit(self, site: Site, gap: Tensor) -> None:
        self.units += gap.numel()


class _AllGaps(_Tracing):
    has_gradients = True

    def __init__(self, rules: Any) -> None:
        super().__init__(rules)
        self.gaps: list[tuple[Site, Tensor]] = []

    def visit(self, site: Site, gap: Tensor) -> None:
        self.gaps.append((site, gap))


class _FirstExit(_Tracing):
    first = RegionExit(math.inf)

    def visit(self, site: Site, gap: Tensor) -> None:
        size, slope = forward_ad.unpack_dual(gap)
        if slope is None:
            return
        steps = torch.where(slope < 0, size / -slope, math.inf).detach()
        step = float(steps.min())
        if step < self.first.step:
            unit = _index(int(steps.argmin()), steps.shape)
            self.first = RegionExit(step + 0.0, site.op, site.module, unit)  # never -0


def _moving(leaves: tuple[Tensor, ...], steps: tuple[Tensor, ...]) -> list[Tensor]:
    """x0 + t d, for forward-mode derivatives at t = 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own decompositions
        return [
            forward_ad.make_dual(leaf.detach(), step)
            for leaf, step in zip(leaves, steps, strict=True)
        ]


def _active(point: Tensor) -> Tensor:
    return point if point.requires_grad else point.requires_grad_()


def _nearest(gap: Tensor, leaves: list[Tensor], site: Site, rows: int) -> RegionMargin:
    """The unit of one op that is nearest to changing."""
    if not gap.requires_grad:
        return RegionMargin(math.inf)
    sizes = gap.flatten()
    norms = torch.cat([_norms(part, leaves) for part in sizes.split(rows)])
    distances = torch.where(norms > 0, sizes.detach() / norms, math.inf)
    unit = _index(int(distances.argmin()), gap.shape)
    return RegionMargin(float(distances.min()), site.op, site.module, unit)


def _norms(gaps: Tensor, leaves: list[Tensor]) -> Tensor:
    """‖∂g_u‖₂ over all inputs, for each of the gaps (units,)."""
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


def _index(position: int, shape: torch.Size) -> tuple[int, ...]:
    return tuple(int(i) for i in torch.unravel_index(torch.tensor(position), shape))


def _gaps_of(op: Op) -> Callable[..., list[Tensor]] | None:
    """The gaps of an op, or of the Python function that calls it."""
    spellings = (identity(op), *spelled(op))
    return next((KINKS[name] for name in spellings if name in KINKS), None)


def _keeps_slope(rule: Rule | None) -> bool:
    """Whether the map has the op's own slope, which a user's rule may replace."""
    if rule is None:
        return False
    return rule.kind is Kind.CONSTANT or rule.is_piecewise or rule.is_tangent


def _is_complex(arguments: Arguments) -> bool:
    return any(value.is_complex() for value in arguments.active())


_DETACHES = (torch.detach_, Tensor.detach_)
_NORMS = (F.batch_norm, F.instance_norm)


def _is_affine(op: Op, rule: Rule | None, arguments: Arguments) -> bool:
    """Whether an op without kinks is affine in its active arguments, at every point."""
    if rule is None or not torch.is_grad_enabled() or op in _DETACHES:
        return False
    if rule.kind in (Kind.LINEAR, Kind.AFFINE):
        return not rule.is_piecewise
    if rule.kind is not Kind.RULE:
        return False
    is_alone = arguments.only_first and rule.alone is not None
    is_one_factor = len(arguments.ranks) == 1 and op in MULTILINEAR
    return is_alone or is_one_factor or _holds_statistics(op, arguments)


def _holds_statistics(op: Op, arguments: Arguments) -> bool:
    """Whether a norm reads running statistics, with its input alone active."""
    if op not in _NORMS or not arguments.only_first:
        return False
    position, name = 5, "training" if op is F.batch_norm else "use_input_stats"
    args, default = arguments.args, op is F.instance_norm
    option = args[position] if len(args) > position else arguments.kwargs.get(name, default)
    return not option


def _not_piecewise(site: Site, rule: Rule | None) -> RegionError:
    is_constant = rule is not None and (rule.kind is Kind.CONSTANT or rule.name == "detach_")
    is_held = is_constant or not torch.is_grad_enabled()
    why = (
        "holds constant what moves with the input"
        if is_held
        else "is not known to be piecewise affine"
    )
    return RegionError(
        f"The network has no region, because {site} {why}: away from the operating point it "
        "may differ from the map at once, not from an edge on. Measure how far the map holds "
        "with affine_map.validity(direction, steps)."
    )
