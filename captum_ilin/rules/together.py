"""``together``: a function of the elements of several arguments, shared between two points.

Of φ(u, v) with both active, D_u = ½ ([φ(u,v) − φ(u',v)] + [φ(u,v') − φ(u',v')]) / Δu, and D_v
likewise: the Shapley values of the two changes, which add up to Δφ whatever φ is. Of a product
they are the slopes midway; of a function of one argument, the chord's slope.

Source: Shapley 1953, A Value for n-Person Games.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from math import comb
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.arguments import mapped, substituted, tensors
from captum_ilin.counterpart import counterpart
from captum_ilin.holding import hold, is_replaying
from captum_ilin.rules.rescale import rescaled, rescaling
from captum_ilin.tangent import active_positions

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["together"]


def together(op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """φ at z, with Shapley's slope of each active argument.

    Args:
        op: φ, of each element of its tensors, which are broadcast.
        args, kwargs: its arguments, any of them active, or constant.

    Cost: of n active arguments, the op at 2ⁿ points n times.
    """
    if hold(lambda: _is_first_alone(args, kwargs)):
        return rescaled(op, *args, **kwargs)
    positions = hold(lambda: active_positions(args, kwargs))
    value, *slopes = hold(lambda: _shares(op, args, kwargs, positions))
    flat = tensors((args, kwargs))
    variables = [flat[position].expand(value.shape) for position in positions]
    points = hold(lambda: [variable.detach().clone() for variable in variables])
    if is_replaying():
        rest = [-point * slope for point, slope in zip(points, slopes, strict=True)]
        moves = [z * slope for z, slope in zip(variables, slopes, strict=True)]
        return sum([*rest, *moves], value)
    steps = (z - z.detach() for z in variables)
    moves = [step * slope for step, slope in zip(steps, slopes, strict=True)]
    return sum(moves, value)


def _is_first_alone(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether only the first argument is active, and none is larger."""
    if not args or active_positions(args, kwargs) != [0] or not is_active(args[0]):
        return False
    shapes = [value.shape for value in tensors((args, kwargs))]
    shape: torch.Size = args[0].shape
    return torch.broadcast_shapes(*shapes) == shape


def _shares(
    op: Callable[..., Tensor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    positions: list[int],
) -> list[Tensor]:
    """φ(z), and the slope of each active argument."""
    still = mapped((args, kwargs), Tensor.detach)
    value = op(*still[0], **still[1])
    flat, others = tensors(still), tensors(tuple(counterpart()))
    here = [flat[position].expand(value.shape) for position in positions]
    there = [others[position].expand(value.shape) for position in positions]

    def call(values: list[Tensor]) -> Tensor:
        full_args, full_kwargs = substituted(still, positions, values)
        return op(*full_args, **full_kwargs)

    return [value, *(_share(call, here, there, place) for place in range(len(positions)))]


def _share(
    call: Callable[[list[Tensor]], Tensor], here: list[Tensor], there: list[Tensor], place: int
) -> Tensor:
    """The mean slope of one argument, over the orders in which all change."""
    count, total = len(here), torch.zeros_like(here[place])
    for changed in product((False, True), repeat=count - 1):
        others = (*changed[:place], False, *changed[place:])
        point = [new if yes else old for new, old, yes in zip(here, there, others, strict=True)]
        alone = partial(_alone, call=call, place=place, further=point)
        _, slope = rescaling(alone, here[place], there[place])
        total = total + slope / (count * comb(count - 1, sum(others)))
    return total


def _alone(
    z: Tensor, call: Callable[[list[Tensor]], Tensor], place: int, further: list[Tensor]
) -> Tensor:
    return call([*further[:place], z, *further[place + 1 :]])
