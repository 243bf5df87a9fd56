"""``Line``: a run of the network at x0 + t d, its derivatives in t along with its values.

In forward mode: every tensor that moves carries its slope, so that no graph is recorded. The
run is that of a network that a `Tracing` has seen to be piecewise affine, for which its own
derivative is that of the map.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from captum_ilin.activity import Activity
from captum_ilin.arguments import mapped
from captum_ilin.freezing import Freezing
from captum_ilin.modes import gradients_on
from captum_ilin.rule import Kind
from captum_ilin.tracing import gaps_of, run_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from captum_ilin.affine import AffineMap
    from captum_ilin.gap import Gap
    from captum_ilin.rule import Op, Rule
    from captum_ilin.ruletable import RuleTable

__all__ = ["Line", "follow"]


class Line(Freezing):
    """Sees the gaps h of every op, and their slopes ∂h·d.

    Attributes:
        number: of the gap that is seen, from 0, the same as in a `Tracing`.
    """

    number = -1

    def __init__(self, rules: RuleTable) -> None:
        super().__init__(rules)
        self.activity = _Moving()

    def visit(self, name: str, gap: Gap, distance: Tensor, slope: Tensor) -> None:
        """See a gap of the op of this name: h, and ∂h·d, of one shape."""
        raise NotImplementedError

    def _treat(self, func: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rule = self.rules.find(func)
        if rule is None or rule.kind is Kind.INERT or not _moves((args, kwargs)):
            return func(*args, **kwargs)
        if kwargs.get("out") is not None:
            return self._write_out(func, args, kwargs)
        if rule.kind is Kind.DECOMPOSITION:
            with self:
                return rule.function(*args, **kwargs)
        with torch.no_grad():
            self._visit_all(func, rule, args, kwargs)
            if rule.kind is Kind.CONSTANT:
                args, kwargs = mapped((args, kwargs), _at_rest)
            return _runs(func, rule, args, kwargs)(*args, **kwargs)

    def _visit_all(
        self, func: Op, rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        gaps = gaps_of(func)
        for gap in () if gaps is None else gaps(*args, **kwargs):
            self.number += 1
            value, slope = forward_ad.unpack_dual(gap.value)
            if slope is not None and slope.numel():
                self.visit(rule.name, gap, gap._replace(value=value).distance, slope)


class _Moving(Activity):
    """What moves along the line is active; of gates no rule of a piecewise affine op asks."""

    def rank(self, value: Tensor) -> int | None:
        return None if forward_ad.unpack_dual(value).tangent is None else 0


def follow(line: Line, affine_map: AffineMap, direction: Sequence[Tensor]) -> None:
    """Run the network of ``affine_map`` along ``direction``.

    Under inference mode no tensor would carry a slope.
    """
    with gradients_on(), forward_ad.dual_level(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own decompositions
        points = [
            forward_ad.make_dual(leaf.detach(), step)
            for leaf, step in zip(affine_map.leaves, direction, strict=True)
        ]
        run_at(line, affine_map, points)


def _at_rest(value: Tensor) -> Tensor:
    return forward_ad.unpack_dual(value).primal


def _moves(arguments: Any) -> bool:
    """Whether one of the tensors in nested lists, tuples and dicts moves."""
    if isinstance(arguments, Tensor):
        return forward_ad.unpack_dual(arguments).tangent is not None
    if isinstance(arguments, dict):
        arguments = arguments.values()
    elif not isinstance(arguments, (list, tuple)):
        return False
    return any(map(_moves, arguments))


def _runs(func: Op, rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op:
    """The op itself, or its rule where that may know the slope at less cost."""
    if rule.kind is not Kind.RULE or rule.is_tangent:
        return func
    if rule.alone is not None and args and _moves(args[0]) and not _moves((args[1:], kwargs)):
        return rule.alone.function
    return rule.function
