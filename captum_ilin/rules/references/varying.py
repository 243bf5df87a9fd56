"""Affine ops whose constants differ between two points, because active values made them.

arithmetic   of each element, such as x · mask: the slope midway between the points, ½(c + c').
             What is left of Δy belongs to the gate, which has no derivative to the input; the
             active arguments take it over, D = s + α sign(Δz). One alone takes the chord Δy/Δz.
moved        moves values, such as where, gather and z[mask] = v: y is one element at x and
             another, or a constant, at x'. Each starts at a half, and takes over in that way.

Where no active argument moves, there is no D that closes Δy, and the run reports it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.arguments import mapped, substituted, tensors
from captum_ilin.counterpart import counterpart, leave_remainder
from captum_ilin.holding import hold
from captum_ilin.rule import Rule, plain_name
from captum_ilin.rules.references.names import ELEMENTWISE, PIECEWISE
from captum_ilin.rules.selecting import closing, selected, selection, steps_of, weighed
from captum_ilin.ruletable import written_form
from captum_ilin.tangent import active_positions, out_of_place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captum_ilin.rule import Op
    from captum_ilin.slope import Slope

__all__ = ["arithmetic", "moved", "with_varying"]

_ARITHMETIC = (
    *("mul", "multiply", "__mul__", "__rmul__", "__imul__", "add", "__add__", "__radd__"),
    *("__iadd__", "sub", "subtract", "__sub__", "__isub__", "rsub", "__rsub__", "addcmul"),
    *("addcdiv", "div", "divide", "true_divide", "__idiv__", "__truediv__", "__itruediv__"),
    *("lerp", "copysign", "maximum", "minimum", "fmax", "fmin", "max", "min"),
    *ELEMENTWISE,
    *PIECEWISE,
)
# What each moves, beside its active arguments: the places of values, which may be numbers.
_MOVES: dict[str, tuple[int | str, ...]] = {
    "where": (1, 2, "input", "other"),
    "masked_fill": (2, "value"),
    "masked_scatter": (2, "source"),
    "index_fill": (3, "value"),
    "index_put": (2, "values"),
    "index_copy": (3, "source"),
    "placed": (3, "source"),
    "slice_scatter": (1, "src"),
    "select_scatter": (1, "src"),
    "__setitem__": (2,),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack", "hstack", "vstack"), ()),
    **dict.fromkeys(("row_stack", "dstack", "column_stack"), ()),
    **dict.fromkeys(("__getitem__", "gather", "index_select", "take", "take_along_dim"), ()),
    **dict.fromkeys(("masked_select", "repeat_interleave", "roll", "narrow", "select"), ()),
    "index": (),
}
_SPREADS = ("max_unpool1d", "max_unpool2d", "max_unpool3d")  # values between zeros


def with_varying(op: Op, rule: Rule) -> Rule:
    """``rule``, with what is done where the op's constants differ, if that is known."""
    if rule.varying is not None:
        return rule
    plain = partial(out_of_place, op) if rule.inplace else op
    stem = plain_name(op)
    if stem in _ARITHMETIC:
        function = partial(arithmetic, plain)
    elif stem in _MOVES:
        function = partial(moved, plain, _MOVES[stem])
    elif stem in _SPREADS:
        function = partial(moved, plain, (), table=_spread)
    else:
        return rule
    return replace(rule, varying=written_form(function) if rule.inplace else function)


def arithmetic(op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """An op of each element, its constants others at x' than at x."""
    positions = hold(lambda: active_positions(args, kwargs))
    flat = tensors((args, kwargs))

    def between(*_: Tensor) -> tuple[Tensor, list[Tensor]]:
        here, there = _detached(args, kwargs), counterpart()
        value, slopes = _slopes(op, here, positions)
        other, others = _slopes(op, there, positions)
        middle = [torch.lerp(a, b, 0.5) for a, b in zip(slopes, others, strict=True)]
        steps = [
            steps_of(tensors(here)[p], tensors(there)[p]).expand(value.shape) for p in positions
        ]
        return value, closing(value, other, middle, steps)

    return weighed([flat[position] for position in positions], between)


def _slopes(
    op: Callable[..., Tensor], point: Any, positions: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """The op's value, and its derivative to each element of its active arguments."""
    args, kwargs = point
    value = op(*args, **kwargs)
    flat = tensors(point)
    with torch.enable_grad():
        leaves = [flat[p].expand(value.shape).detach().requires_grad_() for p in positions]
        full_args, full_kwargs = substituted(point, positions, leaves)
        found = op(*full_args, **full_kwargs)
        slopes = torch.autograd.grad(
            found, leaves, torch.ones_like(found), allow_unused=True, materialize_grads=True
        )
    return value, [slope.conj().to(value.dtype) for slope in slopes]


def moved(
    op: Callable[..., Tensor],
    places: tuple[int | str, ...],
    *args: Any,
    table: Callable[..., Tensor] | None = None,
    **kwargs: Any,
) -> Tensor:
    """An op that moves values, others at x' than at x.

    Args:
        places: the positions and names of what is moved, where that may be a number.
        table: (op, \\*args) → what it makes of the numbers of elements; None for the op itself.
    """
    if hold(lambda: _adds(op, args, kwargs) or _differ_in_size(op, args, kwargs)):
        leave_remainder()
        return op(*args, **kwargs)
    positions = hold(lambda: active_positions(args, kwargs))
    flat = tensors((args, kwargs))
    joined = torch.cat([flat[position].reshape(-1) for position in positions])
    numbers = op if table is None else partial(table, op)

    def between(now: Tensor) -> tuple[Tensor, Slope]:
        here, there = _detached(args, kwargs), counterpart()
        then = torch.cat([tensors(there)[p].reshape(-1) for p in positions])
        value, other = (op(*a, **named) for a, named in (here, there))
        numbered = [_numbered(point, positions, places) for point in (here, there)]
        i, j = (numbers(*a, **named) for a, named in numbered)
        first, second = _halves(value, other, (i, j), steps_of(now, then))
        return value, selection(now.shape, i, j, first, second)

    return selected(joined, between)


def _adds(op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether values are added to what is there, as ``index_put`` may be asked to."""
    is_put = plain_name(_of(op)) == "index_put"
    return is_put and bool(kwargs.get("accumulate", args[3] if len(args) > 3 else False))


def _differ_in_size(
    op: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether more is moved at one of the points, such as by z[k:]."""
    ends = _detached(args, kwargs), counterpart()
    here, there = (op(*a, **named).shape for a, named in ends)
    return here != there


def _of(op: Callable[..., Any]) -> Op:
    return op.args[0] if isinstance(op, partial) else op


def _spread(op: Callable[..., Tensor], input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Where nothing is put, −1; in floating point, which such ops need."""
    return (op(input.double() + 1, *args, **kwargs) - 1).long()


def _halves(
    value: Tensor, other: Tensor, tables: tuple[Tensor, Tensor], steps: Tensor
) -> tuple[Tensor, Tensor]:
    """The slopes at both elements; all at the one where they are the same."""
    moves = [steps[table.clamp_min(0)].masked_fill(table < 0, 0.0) for table in tables]
    halves = [torch.full_like(value, 0.5).masked_fill(table < 0, 0.0) for table in tables]
    first, second = closing(value, other, halves, moves)
    return first, second


def _numbered(point: Any, positions: Sequence[int], places: tuple[int | str, ...]) -> Any:
    """The arguments with the numbers of their elements for values, −1 for constants."""
    args, kwargs = point
    args = tuple(_none(v) if n in places else v for n, v in enumerate(args))
    kwargs = {name: _none(v) if name in places else v for name, v in kwargs.items()}
    found, start, numbers = tensors((args, kwargs)), 0, []
    for position in positions:
        count = found[position].numel()
        every = torch.arange(start, start + count, device=found[position].device)
        numbers.append(every.reshape(found[position].shape))
        start += count
    constants = [n for n, v in enumerate(found) if v.is_floating_point() and n not in positions]
    blank = [torch.full_like(found[n], -1, dtype=torch.long) for n in constants]
    return substituted((args, kwargs), [*positions, *constants], [*numbers, *blank])


def _none(value: Any) -> Any:
    return -1 if isinstance(value, (bool, int, float)) else value


def _detached(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return mapped((args, kwargs), Tensor.detach)
