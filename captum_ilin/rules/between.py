"""What rules between two points are made of: Δy = D Δz, exactly, with D held.

rescaled    one function of each element: D = (φ(z) − φ(z')) / (z − z'), DeepLIFT's rescale.
midway      a polynomial of degree two in all active arguments: D is its slope midway.
matrixed    a D given by its two products.

Each returns the op's own value at z. As an affine map it is y = D z + c with
c = φ(z) − D z = φ(z') − D z'.

Source: Shrikumar et al. 2017, arXiv 1704.02685, section 3.5.1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.arguments import mapped, substituted, tensors
from captum_ilin.counterpart import counterpart
from captum_ilin.holding import hold, is_replaying, is_taped
from captum_ilin.localgraph import LocalGraph, attached
from captum_ilin.rules.primitives import with_slope
from captum_ilin.slope import Slope, sloped

if TYPE_CHECKING:
    from collections.abc import Callable

    Chord = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], tuple[Tensor, Tensor]]

__all__ = ["matrixed", "midway", "piecewise_rescaling", "rescaled", "rescaling"]


def rescaled(
    op: Callable[..., Tensor],
    input: Tensor,
    *args: Any,
    chord: Chord | None = None,
    **kwargs: Any,
) -> Tensor:
    """φ(z), each element with the chord's slope between the two points.

    Args:
        op: φ, of each element of ``input`` alone.
        input: z, any shape.
        args, kwargs: further arguments of ``op``, constant.
        chord: how value and slope are found. Default: `rescaling`.

    Returns:
        φ(z), shaped like z.
    """

    def found(input: Tensor) -> tuple[Tensor, Tensor]:
        there = counterpart()
        other = there.args[0] if there.args else there.kwargs["input"]
        function = partial(_applied, op=op, further=(args, kwargs))
        return (chord or rescaling)(function, input, other)

    if is_taped():
        value, slope = hold(found, input) if not is_replaying() else hold(None)
        return input * slope + hold(lambda: value - input.detach() * slope)
    value, slope = hold(found, input)
    return with_slope(input, value, slope)


def _applied(input: Tensor, op: Callable[..., Tensor], further: Any) -> Tensor:
    args, kwargs = further
    return op(input, *args, **kwargs)


def piecewise_rescaling(
    function: Callable[[Tensor], Tensor], here: Tensor, there: Tensor
) -> tuple[Tensor, Tensor]:
    """φ(z) and the quotient, of a φ that is affine on every piece: there it has no noise.

    Only where the points are equal is it 0/0, and the slope of the piece taken.
    """
    value, step = function(here), here - there
    slope = _change(value, function(there)).div_(step)
    if torch.isnan(slope.sum()):
        slope = torch.where(step == 0, _derivative(function, here), slope)
    return value, slope


def _change(value: Tensor, other: Tensor) -> Tensor:
    """φ(z) − φ(z'), in the memory of the second."""
    return torch.sub(value, other, out=other)


def rescaling(
    function: Callable[[Tensor], Tensor], here: Tensor, there: Tensor
) -> tuple[Tensor, Tensor]:
    """φ(z), and (φ(z) − φ(z')) / (z − z').

    The quotient's error is that of rounding φ over Δz. Near enough, the derivative midway,
    whose own error is |φ‴| Δz²/24, is the better one: it is taken where it closes the sum as
    well, |φ'(m) Δz − Δφ| within the rounding of z and φ. A kink between the points shows in
    that. Both errors are the same at Δz = (24 ε)^⅓ where z, φ and φ‴ are of size one.
    """
    value, step = function(here), here - there
    slope = _change(value, function(there)).div_(step)
    reach = _reach(here)
    if not step.is_contiguous() or not _is_of_each_number(function):
        better = _tangent_or_quotient(function, here, there)
        return value, torch.where(step.abs() <= reach, better, slope)
    places = _near(step, reach)
    if len(places):
        near = (z.reshape(-1)[places] for z in (here, there))
        slope.view(-1)[places] = _tangent_or_quotient(function, *near)
    return value, slope


def _is_of_each_number(function: Callable[[Tensor], Tensor]) -> bool:
    """Whether some of the elements can be given alone: φ takes no further tensors."""
    further = function.keywords if isinstance(function, partial) else {}
    return not any(tensor.dim() for tensor in tensors(further.get("further", ())))


def _reach(here: Tensor) -> float:
    """The largest Δz that is near: (24 ε)^⅓, and a small part of what z is at its largest.

    Where all z are small, so is φ, and the quotient's error, ε |φ/Δz|, is small at Δz ~ z.
    """
    low, high = torch.aminmax(here)
    size = max(abs(float(low)), abs(float(high)))
    return min((24 * torch.finfo(here.dtype).eps) ** (1 / 3), size / 16)


def _near(step: Tensor, reach: float) -> Tensor:
    """Where |Δz| ≤ reach, in the order of memory; Δz is overwritten.

    NumPy finds few among many much faster.
    """
    if step.device.type == "cpu" and step.dtype in (torch.float32, torch.float64):
        sizes = step.numpy()
        found = np.flatnonzero(np.abs(sizes, out=sizes) <= reach)
        return torch.from_numpy(found)
    return (step.abs() <= reach).reshape(-1).nonzero()[:, 0]


def _tangent_or_quotient(
    function: Callable[[Tensor], Tensor], here: Tensor, there: Tensor
) -> Tensor:
    """The derivative midway where it gives the change to rounding, or the points are equal."""
    step, value, other = here - there, function(here), function(there)
    change, tangent = value - other, _derivative(function, there + step / 2)
    scale = value.abs() + other.abs() + here.abs()
    closes = (tangent * step - change).abs() <= 2 * torch.finfo(step.dtype).eps * scale
    return torch.where(closes | (step == 0), tangent, change / step)


def _derivative(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """φ' of each element."""
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return slope


def midway(op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """A polynomial of degree two: its value at z, its slope midway between the points.

    Δ(u·v) = ½(v + v')·Δu + ½(u + u')·Δv, and so for every sum of such products.
    """
    positions = hold(lambda: _active_positions(args, kwargs))
    flat = tensors((args, kwargs))
    variables = [flat[position] for position in positions]
    middles = hold(lambda: _middles(args, kwargs, positions))

    def call(values: Any) -> Any:
        full_args, full_kwargs = substituted((args, kwargs), positions, values)
        return op(*full_args, **full_kwargs)

    graph = LocalGraph(call, middles)
    points = hold(lambda: [variable.detach().clone() for variable in variables])
    values = hold(lambda: _values(op, args, kwargs))
    if is_replaying():
        steps = [v - point for v, point in zip(variables, points, strict=True)]
        moves = graph.jvp(steps)
        return graph.with_outputs(
            [
                value if move is None else value + move
                for value, move in zip(values, moves, strict=True)
            ]
        )
    return graph.with_outputs(attached(graph, variables, values=values))


def _active_positions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    return [i for i, value in enumerate(tensors((args, kwargs))) if is_active(value)]


def _middles(
    args: tuple[Any, ...], kwargs: dict[str, Any], positions: list[int]
) -> list[Tensor]:
    here, there = tensors((args, kwargs)), tensors(tuple(counterpart()))
    return [torch.lerp(there[p], here[p].detach(), 0.5) for p in positions]


def _values(
    op: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Tensor]:
    full_args, full_kwargs = mapped((args, kwargs), Tensor.detach)
    with torch.no_grad():
        return tensors(op(*full_args, **full_kwargs))


def matrixed(
    input: Tensor, compute: Callable[[Tensor, Tensor], tuple[Tensor, Slope]]
) -> Tensor:
    """The value, with the slope D, that ``compute`` finds from z and z'."""

    def between(input: Tensor) -> tuple[Tensor, Slope]:
        there = counterpart()
        other = there.args[0] if there.args else there.kwargs["input"]
        with torch.no_grad():
            return compute(input.detach(), other)

    if not is_taped():
        return sloped(between, input)
    value, slope = hold(between, input) if not is_replaying() else hold(None)
    moved = slope.push(input, *slope.held)
    return moved + hold(lambda: value - slope.push(input.detach(), *slope.held))
