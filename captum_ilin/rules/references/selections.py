"""Ops that choose by size, between two points: maxima over dimensions, and of pairs.

y is z_i at x and z'_j at x'. The larger of two is chosen, so Δy = λ Δz_i + (1−λ) Δz_j with λ
in [0, 1].
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.counterpart import counterpart
from captum_ilin.holding import hold
from captum_ilin.rules.references.varying import arithmetic
from captum_ilin.rules.rescale import piecewise_rescaling, rescaled
from captum_ilin.rules.selecting import ahead, closing, selected, selection, steps_of, weighed
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.rule import Op
    from captum_ilin.slope import Slope

__all__ = ["RULES", "Found", "chosen"]

Found = tuple[Any, Tensor]  # an op's result, and the places of its values

RULES = RuleTable()


def chosen(
    find: Callable[..., Found], input: Tensor, *args: Any, sign: int, **kwargs: Any
) -> Any:
    """Values of ``input`` that an op chooses.

    Args:
        find: (z, \\*args) → the op's result, and the place in z.flatten() of each element of
            its values, the first tensor in it.
        sign: 1 where the largest is chosen, −1 for the smallest, 0 for neither.
    """
    result, table = hold(find, input, *args, **kwargs)

    def between(here: Tensor) -> tuple[Tensor, Slope]:
        before = counterpart()
        there = before.args[0] if before.args else before.kwargs["input"]
        other = find(there, *args, **kwargs)[1]
        weights = _weights(here.flatten(), there.flatten(), table, other, sign)
        return _values(result), selection(here.shape, table, other, *weights)

    values = selected(input, between)
    if isinstance(result, Tensor):
        return values
    rest = (values, *result[1:])
    return rest if type(result) is tuple else type(result)(rest)


def _values(result: Any) -> Tensor:
    values: Tensor = result if isinstance(result, Tensor) else result[0]
    return values


def _weights(
    here: Tensor, there: Tensor, i: Tensor, j: Tensor, sign: int
) -> tuple[Tensor, Tensor | None]:
    if sign:
        gaps = sign * (here[i] - here[j]), sign * (there[i] - there[j])
        return ahead(*gaps).masked_fill(i == j, 1.0), None
    halves = [torch.full_like(here[i], 0.5)] * 2
    steps = steps_of(here, there)
    first, second = closing(here[i], there[j], halves, [steps[i], steps[j]])
    return first, second


def _along(op: Op, input: Tensor, dim: int = -1, keepdim: bool = False) -> Found:
    """Values and indices along one dimension."""
    result = op(input, dim, keepdim)
    places = result[1] if keepdim or not input.dim() else result[1].unsqueeze(dim)
    table = _places_along(input, dim, places)
    return result, table if keepdim or not input.dim() else table.squeeze(dim)


def _cumulative(op: Op, input: Tensor, dim: int) -> Found:
    result = op(input, dim)
    return result, _places_along(input, dim, result[1])


def _places_along(input: Tensor, dim: int, places: Tensor) -> Tensor:
    """Places along ``dim`` as places in input.flatten()."""
    every = torch.arange(input.numel(), device=input.device).reshape(input.shape)
    return every.gather(dim, places) if input.dim() else every


def _over(op: Op, input: Tensor, dim: Any = (), keepdim: bool = False) -> Found:
    """The extreme value over some dimensions, over all where none is named."""
    named = [dim] if isinstance(dim, int) else list(dim)
    full = sorted({d % max(input.dim(), 1) for d in named} or range(input.dim()))
    every = torch.arange(input.numel(), device=input.device).reshape(input.shape)
    rows, places = (
        t.movedim(full, list(range(-len(full), 0))).flatten(-len(full)) if full else t[None]
        for t in (input, every)
    )
    columns = (rows.argmax if op is torch.max else rows.argmin)(-1, keepdim=True)
    shape = torch.amax(input, dim, keepdim).shape
    return rows.gather(-1, columns).reshape(shape), places.gather(-1, columns).reshape(shape)


for _op, _sign, _reduced in ((torch.max, 1, "amax"), (torch.min, -1, "amin")):

    @RULES.freezes(*spellings(_op.__name__))
    def extreme(
        input: Tensor, *args: Any, _op: Op = _op, _sign: int = _sign, **kwargs: Any
    ) -> Any:
        """Of all elements, along a dimension, or of two tensors."""
        kwargs = _spelled(kwargs)
        other = kwargs.get("other", args[0] if args else None)
        if isinstance(other, Tensor):
            return larger(input, other, sign=_sign)
        find = partial(_along if args or kwargs else _over, _op)
        return chosen(find, input, *args, sign=_sign, **kwargs)

    @RULES.freezes(*spellings(_reduced))
    def reduced(
        input: Tensor, *args: Any, _op: Op = _op, _sign: int = _sign, **kwargs: Any
    ) -> Any:
        kwargs = _spelled(kwargs)
        return chosen(partial(_over, _op), input, *args, sign=_sign, **kwargs)


def _spelled(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments under PyTorch's own names, where NumPy's were used."""
    names = {"axis": "dim", "keepdims": "keepdim", "x2": "other"}
    return {names.get(name, name): value for name, value in kwargs.items()}


@RULES.decomposes(*spellings("aminmax"))
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    over: Any = () if dim is None else dim
    ends = torch.amin(input, over, keepdim), torch.amax(input, over, keepdim)
    return torch.return_types.aminmax(ends)


for _name, _sign in (("cummax", 1), ("cummin", -1)):
    _find = partial(_cumulative, getattr(torch, _name))
    RULES.freezes(*spellings(_name))(partial(chosen, _find, sign=_sign))


@RULES.freezes(*spellings("mode"))
def mode(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Chosen by how often it occurs, not by size."""
    return chosen(partial(_along, torch.mode), input, *args, sign=0, **_spelled(kwargs))


def larger(input: Any, other: Any, *, sign: int = 1) -> Tensor:
    """The larger of two, or, for sign −1, the smaller; either may be constant."""
    flowing = hold(lambda: [n for n, value in enumerate((input, other)) if is_active(value)])
    op = torch.maximum if sign > 0 else torch.minimum

    def between(*_: Tensor) -> tuple[Tensor, list[Tensor]]:
        before = counterpart()
        pairs = ((input, other), (*before.args, *before.kwargs.values()))
        here, there = (_alike(*pair) for pair in pairs)
        share = ahead(sign * (here[0] - here[1]), sign * (there[0] - there[1]))
        shares, steps = (share, 1 - share), list(map(steps_of, here, there))
        chosen = [shares[n] for n in flowing], [steps[n] for n in flowing]
        return op(*here), closing(op(*here), op(*there), *chosen)

    return weighed([(input, other)[n] for n in flowing], between)


def _alike(first: Any, second: Any) -> list[Tensor]:
    """Both of one dtype and shape."""
    dtype = torch.result_type(first, second)
    pair = [torch.as_tensor(value).detach().to(dtype) for value in (first, second)]
    return list(torch.broadcast_tensors(*pair))


for _names, _sign in ((("maximum", "fmax"), 1), (("minimum", "fmin"), -1)):
    RULES.freezes(*spellings(*_names))(partial(larger, sign=_sign))


RULES.freezes(*spellings("copysign"), inplace=writings("copysign"))(
    partial(arithmetic, torch.copysign)
)


def _bounded(name: str, sign: int) -> None:
    """Register clamping at one side, whose bound may be active."""
    op = getattr(torch, name)

    @RULES.freezes(*spellings(name), inplace=writings(name))
    def rule(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        (limit,) = (*args, *kwargs.values())
        if not isinstance(limit, Tensor):
            return rescaled(op, input, limit, chord=piecewise_rescaling)
        return larger(input, limit, sign=sign)


_bounded("clamp_min", 1)
_bounded("clamp_max", -1)


@RULES.decomposes(*spellings("clamp", "clip"))
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    if isinstance(min, (int, float)) and isinstance(max, (int, float)) and min <= max:
        return torch._C._nn.hardtanh(input, min, max)
    if min is not None:
        input = torch.clamp_min(input, min)
    return input if max is None else torch.clamp_max(input, max)


@RULES.decomposes(*writings("clamp", "clip"))
def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    if min is not None:
        torch.clamp_min_(input, min)
    return input if max is None else torch.clamp_max_(input, max)
