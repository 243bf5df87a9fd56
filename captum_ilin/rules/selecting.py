"""Choices between two points: what was chosen at x' is another element than at x.

selected   y is one element of z: i at x, j at x'. Δy = D Δz lies on the two of them.
weighed    y is made of the same elements of several arguments, as max(a, b) is.

Two elements a = Δz_i, b = Δz_j share what changes. Where the larger is chosen,
Δy = λa + (1−λ)b with λ = (z_i − z_j) / ((z_i − z_j) + (z'_j − z'_i)) in [0, 1]: both
differences are ≥ 0, so nothing cancels, and both are 0 for a tie, λ = ½. Where something else
chooses, their slopes start at a half each and move by one amount, D = ½ ± α, each towards its
own change, until Δy is closed. With nothing to move, |a| + |b| = 0, Δy stays without an owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.counterpart import leave_remainder
from captum_ilin.holding import hold, is_replaying, is_taped
from captum_ilin.slope import Slope, sloped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ahead", "closing", "selected", "selection", "steps_of", "times", "weighed"]


def ahead(here: Tensor, there: Tensor) -> Tensor:
    """How much of a change goes to the first of two, the larger of which is chosen.

    Args:
        here: how far the first is ahead of the second at x.
        there: the same at x'.

    Returns:
        λ in [0, 1], the chord of relu: 1 where the first is ahead at both points, 0 where it
        is behind; ½ for a tie at both.
    """
    here, there = (gap.nan_to_num(0.0, torch.inf, -torch.inf) for gap in (here, there))
    first = (here > 0) & (there >= 0) | (here >= 0) & (there > 0)
    second = (here < 0) & (there <= 0) | (here <= 0) & (there < 0)
    share = (here.clamp_min(0) - there.clamp_min(0)) / (here - there)
    share = share.nan_to_num(0.5)
    return share.masked_fill(first, 1.0).masked_fill(second, 0.0)


def closing(
    here: Tensor, there: Tensor, slopes: Sequence[Tensor], steps: Sequence[Tensor]
) -> list[Tensor]:
    """Slopes that close Σ D Δz = y − y': the given ones, moved by one amount.

    D = s + α sign(Δz) with α = (Δy − Σ s Δz) / Σ|Δz|: of all moves that close it the one whose
    largest part is smallest, and of one argument alone the chord, Δy/Δz. A rest within the
    rounding of y moves nothing.

    Args:
        here, there: y and y'.
        slopes: s, one for each active argument, shaped like y.
        steps: Δz.
    """
    change = torch.where(here == there, 0.0, here - there)
    rest = change - sum(slope * step for slope, step in zip(slopes, steps, strict=True))
    rounding = 4 * torch.finfo(here.dtype).eps * (here.abs() + there.abs())
    rest = torch.where((rest.abs() <= rounding) & torch.isfinite(rest), 0.0, rest)
    reach = sum((step.abs() for step in steps), torch.zeros_like(rest))
    move = rest / reach
    lost = ~torch.isfinite(move) & (rest != 0)
    if lost.any():
        leave_remainder()
    move = torch.where(torch.isfinite(move), move, 0.0)
    return [slope + move * step.sgn().conj() for slope, step in zip(slopes, steps, strict=True)]


def steps_of(here: Tensor, there: Tensor) -> Tensor:
    """Δz; of equal infinities 0."""
    return torch.where(here == there, 0.0, here - there)


def weighed(
    variables: Sequence[Tensor], find: Callable[..., tuple[Tensor, list[Tensor]]]
) -> Tensor:
    """The value and the slopes that ``find`` gives for the active ``variables``.

    Args:
        variables: shaped as they are; they are broadcast to the value's shape.
        find: value, and D for each variable, shaped like the value.
    """
    held = hold(None) if is_replaying() else hold(find, *variables)
    value, slopes = held
    shaped = [variable.to(value.dtype).expand(value.shape) for variable in variables]
    if not is_taped():
        result: Tensor = _Weighed.apply([value], slopes, *shaped)
        return result
    moved = sum(times(v, slope) for v, slope in zip(shaped, slopes, strict=True))
    points = [v.detach() for v in shaped]
    return moved + hold(
        lambda: value - sum(times(v, slope) for v, slope in zip(points, slopes, strict=True))
    )


def times(value: Tensor, slope: Tensor) -> Tensor:
    """value · slope, 0 where the slope is, though the value be infinite."""
    return (value * slope).masked_fill(slope == 0, 0.0)


class _Weighed(torch.autograd.Function):
    """A value, with a held slope for each element of each variable."""

    @staticmethod
    def forward(
        ctx: Any, value: list[Tensor], slopes: list[Tensor], *variables: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*slopes)
        return value[0]  # in a list, so that it is no argument: those may not be written to

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        return None, None, *(vector * slope.conj() for slope in ctx.saved_tensors)


def selected(input: Tensor, find: Callable[[Tensor], tuple[Tensor, Slope]]) -> Tensor:
    """The value and the slope that ``find`` gives for ``input``."""
    if not is_taped():
        return sloped(lambda z: _without_graph(find, z), input)
    value, slope = hold(None) if is_replaying() else hold(find, input)
    moved = slope.push(input, *slope.held)
    return moved + hold(lambda: value - slope.push(input.detach(), *slope.held))


def _without_graph(
    find: Callable[[Tensor], tuple[Tensor, Slope]], input: Tensor
) -> tuple[Tensor, Slope]:
    with torch.no_grad():
        return find(input.detach())


def selection(
    shape: torch.Size, here: Tensor, there: Tensor, first: Tensor, second: Tensor | None
) -> Slope:
    """D of y = first · z_i + second · z_j, for tables of the places i and j.

    Args:
        shape: of z.
        here: i, the place in z.flatten() of each element of y; −1 for none.
        there: j, shaped like i.
        first: the slope at z_i, shaped like i.
        second: the slope at z_j; None for 1 − first.
    """
    size = shape.numel()

    def push(step: Tensor, i: Tensor, j: Tensor, *weights: Tensor) -> Tensor:
        flat = step.reshape(-1)
        a, b = _both(weights)
        return times(flat[i], a) + times(flat[j], b)

    def pull(vector: Tensor, i: Tensor, j: Tensor, *weights: Tensor) -> Tensor:
        a, b = _both(weights)
        total = vector.new_zeros(size).index_add(0, i.flatten(), (vector * a).reshape(-1))
        return total.index_add(0, j.flatten(), (vector * b).reshape(-1)).reshape(shape)

    if second is None:
        return Slope(push, pull, (here, there, first))
    first, second = first.masked_fill(here < 0, 0.0), second.masked_fill(there < 0, 0.0)
    return Slope(push, pull, (here.clamp_min(0), there.clamp_min(0), first, second))


def _both(weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    return (weights[0], 1 - weights[0]) if len(weights) == 1 else (weights[0], weights[1])
