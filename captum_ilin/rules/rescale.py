"""Functions of each element between two points: Δy = D Δz with D = (φ(z) − φ(z')) / (z − z').

DeepLIFT's rescale rule (Shrikumar et al. 2017, arXiv 1704.02685, section 3.5.1), for any φ, and
where z and z' are near the derivative, to which the quotient tends.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.arguments import tensors
from captum_ilin.counterpart import counterpart_input
from captum_ilin.holding import hold, is_replaying, is_taped
from captum_ilin.rules.between import written
from captum_ilin.rules.primitives import with_slope, with_slope_in_place

if TYPE_CHECKING:
    from collections.abc import Callable

    Chord = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], tuple[Tensor, Tensor]]

__all__ = ["piecewise_rescaling", "places_where", "rescaled", "rescaled_in_place", "rescaling"]


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

    function = partial(_applied, op=op, further=(args, kwargs))
    if is_replaying():
        there, slope = hold(None)
        reached = (there * slope).masked_fill(slope == 0, 0.0)  # of masked numbers 0 · ∞
        return input * slope + (function(there) - reached)
    there = counterpart_input()
    with torch.no_grad():
        value, slope = (chord or rescaling)(function, input.detach(), there)
    if is_taped():
        hold((there, slope))
    return with_slope(input, value, slope)


def rescaled_in_place(
    op: Callable[..., Tensor],
    input: Tensor,
    *args: Any,
    chord: Chord | None = None,
    writing: Callable[..., Tensor] | None = None,
    **kwargs: Any,
) -> Tensor:
    """`rescaled`, written into ``input``.

    Args:
        op: φ, out of place.
        writing: the same in place, for a ``chord`` that does not need z any more.
    """
    if is_taped() or not is_active(input):  # a tape follows the copy
        return written(op, partial(rescaled, chord=chord), input, *args, **kwargs)
    function = partial(_applied, op=op, further=(args, kwargs))
    points = input.detach(), counterpart_input()
    with torch.no_grad():
        if writing is None:
            value, slope = (chord or rescaling)(function, *points)
        else:
            writes = partial(_applied, op=writing, further=(args, kwargs))
            value, slope = piecewise_rescaling(function, *points, writes)
    return with_slope_in_place(input, value, slope)


def _applied(input: Tensor, op: Callable[..., Tensor], further: Any) -> Tensor:
    args, kwargs = further
    return op(input, *args, **kwargs)


def piecewise_rescaling(
    function: Callable[[Tensor], Tensor],
    here: Tensor,
    there: Tensor,
    writing: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """φ(z) and the quotient, of a φ that is affine on every piece: there it has no noise.

    Only where the points are equal is it 0/0, and the slope of the piece taken. With
    ``writing`` φ(z) takes the place of z.
    """
    step, other = here - there, function(there)
    value = (writing or function)(here)
    slope = _change(value, other).div_(step)
    if torch.isnan(slope.sum()):
        slope = _completed(function, there, step, slope)
    return value, slope


def _completed(
    function: Callable[[Tensor], Tensor], there: Tensor, step: Tensor, slope: Tensor
) -> Tensor:
    """The quotients, and where they are 0/0 the slope of the piece."""
    if not _is_of_each_number(function):
        slope.masked_fill_(torch.isnan(step), 0.0)
        return torch.where(step == 0, _derivative(function, there), slope)
    places = places_where(np.isnan, slope)
    found, moved = _derivative(function, there.take(places)), step.take(places)
    if moved.any():  # or not a number: masked at both points, −∞ less −∞
        found = torch.where(moved == 0, found, slope.take(places))
        found.masked_fill_(torch.isnan(moved), 0.0)
    return slope.put_(places, found)


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
    if torch.isnan(slope.sum()):
        slope.masked_fill_(torch.isnan(step), 0.0)
    reach = _reach(here, value)
    if not _is_of_each_number(function):
        better = _tangent_or_quotient(function, here, there)
        return value, torch.where(step.abs() <= reach, better, slope)
    sizes = step.abs() if step.is_complex() else step.abs_()
    places = places_where(lambda sizes: sizes <= reach, sizes)
    if len(places):
        near = _tangent_or_quotient(function, here.take(places), there.take(places))
        slope.put_(places, near)
    return value, slope


def _is_of_each_number(function: Callable[[Tensor], Tensor]) -> bool:
    """Whether some of the elements can be given alone: φ takes no further tensors."""
    further = function.keywords if isinstance(function, partial) else {}
    return not any(tensor.dim() for tensor in tensors(further.get("further", ())))


def _reach(here: Tensor, value: Tensor) -> float:
    """The largest Δz that is near: ε^⅓ times the cube root of 24, or what is of size one.

    Where z and φ are all small, or φ‴ is not of size one, the quotient's error at the second,
    ε |φ| / Δz, is ε^⅔ at most, as it is at the first.
    """
    if not here.numel():
        return 0.0
    size = max(_largest(here), _largest(value))
    return torch.finfo(here.dtype).eps ** (1 / 3) * min(24 ** (1 / 3), size)


def _largest(values: Tensor) -> float:
    low, high = torch.aminmax(torch.view_as_real(values) if values.is_complex() else values)
    return max(abs(float(low)), abs(float(high)))


def places_where(holds: Callable[[Any], Any], values: Tensor) -> Tensor:
    """Where a test of each number holds, as the places of its elements in a row.

    NumPy finds few among many much faster.
    """
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.flatnonzero(holds(values.numpy())))
    test = torch.isnan if holds is np.isnan else holds
    return test(values).reshape(-1).nonzero()[:, 0]


def _tangent_or_quotient(
    function: Callable[[Tensor], Tensor], here: Tensor, there: Tensor
) -> Tensor:
    """The derivative midway where it gives the change to rounding, or the points are equal.

    An infinite one, such as that of a root at 0, is then left out: there is nothing to share.
    """
    step, value, other = here - there, function(here), function(there)
    change, tangent = value - other, _derivative(function, there + step / 2)
    scale = value.abs() + other.abs() + here.abs()
    closes = (tangent * step - change).abs() <= 4 * torch.finfo(step.dtype).eps * scale
    tangent = tangent.masked_fill(~torch.isfinite(tangent), 0.0)
    return torch.where(closes | (step == 0), tangent, change / step)


def _derivative(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """φ' of each element."""
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        value = function(leaf)
        ones = torch.ones_like(value) if value.is_complex() else None
        (slope,) = torch.autograd.grad(value if value.is_complex() else value.sum(), leaf, ones)
    return slope.conj()
