"""``Tracing``: a frozen run that sees where the piece of every op ends.

It refuses what has no such place: an op that bends, or one that holds constant what moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.dispatched import identity, spelled
from captum_ilin.errors import RegionError
from captum_ilin.freezing import Freezing
from captum_ilin.modes import gradients_on
from captum_ilin.rule import Kind, op_name
from captum_ilin.rules.kinks import KINKS, MULTILINEAR
from captum_ilin.rules.windows import WINDOWS
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from captum_ilin.affine import AffineMap
    from captum_ilin.arguments import Arguments
    from captum_ilin.gap import Gap
    from captum_ilin.location import Site
    from captum_ilin.rule import Op, Rule

__all__ = ["Counting", "Tracing", "gaps_of", "run_at"]


class Tracing(Freezing):
    """Freezing that visits the gaps of every piecewise op, and refuses what has none.

    Attributes:
        number: of the gap that is seen, from 0.
    """

    number = -1
    has_gradients = True  # of the gaps, which cost a graph

    def visit(self, name: str, gap: Gap) -> None:
        """See a gap of the op of this name."""
        raise NotImplementedError

    def _treat_active(self, func: Op, rule: Rule | None, arguments: Arguments) -> Any:
        if rule is not None and rule.kind is Kind.DECOMPOSITION:
            return super()._treat_active(func, rule, arguments)
        name = op_name(func) if rule is None else rule.name
        gaps = gaps_of(func)
        if gaps is not None and _keeps_slope(rule) and not _is_complex(arguments):
            self._visit_all(name, gaps, arguments)
        elif not _is_affine(func, rule, arguments):
            raise _not_piecewise(self._site(name), rule)
        return super()._treat_active(func, rule, arguments)

    def _visit_all(
        self, name: str, gaps: Callable[..., Iterable[Gap]], arguments: Arguments
    ) -> None:
        with gradients_on() if self.has_gradients else torch.no_grad():
            for gap in gaps(*arguments.args, **arguments.kwargs):
                self.number += 1
                self.visit(name, gap)

    def _freeze_foreign(self) -> None:
        for value in self.activity.foreign:
            if not self._foreign.passes_by(value):
                name = "" if value.grad_fn is None else value.grad_fn.name()
                raise _not_piecewise(self._site(name), None)
        super()._freeze_foreign()


class Counting(Tracing):
    """How many gaps there are."""

    has_gradients = False
    units = 0

    def visit(self, name: str, gap: Gap) -> None:
        self.units += gap.value.numel()


def run_at(freezing: Freezing, affine_map: AffineMap, points: Sequence[Tensor]) -> None:
    """Run the forward function of ``affine_map`` at ``points``, seen by ``freezing``."""
    forward_func = affine_map.forward_func
    with gradients_on():
        entered = [freezing.enter(point) for point in points]
    with buffers_kept(forward_func), affine_map.freezing.autocast.restored(), freezing.run():
        outputs = forward_func(*entered, *affine_map.constants)
    freezing.finish(outputs)


def gaps_of(op: Op) -> Callable[..., Iterable[Gap]] | None:
    """The gaps of an op, or of the Python function that calls it."""
    for spelling in (identity(op), *spelled(op)):
        found = KINKS.get(spelling) or WINDOWS.get(spelling)
        if found is not None:
            return found
    return None


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
    is_alone = arguments.only_first and rule.alone is not None and not rule.is_tangent
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
