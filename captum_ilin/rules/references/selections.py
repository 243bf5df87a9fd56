"""Ops that choose by size, between two points: maxima over windows, dimensions, and pairs.

y is z_i at x and z'_j at x'. The larger of two is chosen, so Δy = λ Δz_i + (1−λ) Δz_j with λ
in [0, 1]; windows that overlap add.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.counterpart import counterpart, leave_remainder
from captum_ilin.holding import hold
from captum_ilin.rule import Kind
from captum_ilin.rules.between import piecewise_rescaling, rescaled
from captum_ilin.rules.references.varying import arithmetic
from captum_ilin.rules.selecting import ahead, closing, selected, selection, steps_of, weighed
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.rule import Op
    from captum_ilin.slope import Slope

    Found = tuple[Any, Tensor]  # the op's result, and the places of its values

__all__ = ["RULES"]

RULES = RuleTable()
RULES.runs(
    Kind.LINEAR,
    *functions("functional", "max_unpool1d", "max_unpool2d", "max_unpool3d"),
)


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


def _pools(dims: int, pool: Op, place: int, *ops: Op, returns_indices: bool = False) -> None:
    """Register max pooling of the last ``dims`` dimensions, its indices asked for at place."""

    def find(input: Tensor, *args: Any, asked: bool, **kwargs: Any) -> Found:
        values, places = pool(input, *args, return_indices=True, **kwargs)
        return ((values, places) if asked else values), _in_planes(input, places, dims)

    @RULES.freezes(*ops)
    def rule(input: Tensor, *args: Any, return_indices: bool = False, **kwargs: Any) -> Any:
        asked = returns_indices or return_indices or bool(args[place : place + 1] == (True,))
        return chosen(find, input, *args[:place], asked=asked, sign=1, **kwargs)


def _in_planes(input: Tensor, places: Tensor, dims: int) -> Tensor:
    """Places in each plane of the last ``dims`` dimensions as places in input.flatten()."""
    size = input.shape[-dims:].numel()
    starts = torch.arange(input.numel() // size, device=input.device) * size
    return places + starts.reshape(*input.shape[:-dims], *[1] * dims)


for _dims in (1, 2, 3):
    _name = f"max_pool{_dims}d"
    for _stem, _place in ((_name, 5), (f"adaptive_{_name}", 1)):
        _pool = getattr(F, _stem)
        _pools(_dims, _pool, _place, *functions("functional", _stem))
        _pools(
            *(_dims, _pool, _place),
            *functions("functional", f"{_stem}_with_indices"),
            *(*functions("_nn", f"{_stem}_with_indices"), *spellings(f"{_stem}_with_indices")),
            returns_indices=True,
        )
    _pools(_dims, getattr(F, _name), 5, *spellings(_name))
    _pools(  # the native ones return both
        *(_dims, getattr(F, f"adaptive_{_name}"), 1),
        *(*spellings(f"adaptive_{_name}"), *functions("_nn", f"adaptive_{_name}")),
        returns_indices=True,
    )


def _fractional(dims: int, pool: Op, *ops: Op, returns_indices: bool) -> None:
    """Register pooling of regions whose sides are drawn by chance, unless they are given."""

    def find(input: Tensor, *args: Any, samples: Tensor, asked: bool) -> Found:
        values, places = pool(input, *args, return_indices=True, _random_samples=samples)
        return ((values, places) if asked else values), _in_planes(input, places, dims)

    @RULES.freezes(*ops)
    def rule(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        samples = hold(
            lambda: _drawn(input, dims) if _random_samples is None else _random_samples
        )
        sizes = kernel_size, output_size, output_ratio
        asked = returns_indices or return_indices
        return chosen(find, input, *sizes, samples=samples, asked=asked, sign=1)


def _drawn(input: Tensor, dims: int) -> Tensor:
    """Others than at the baseline."""
    leave_remainder()
    batch = input.shape[0] if input.dim() == dims + 2 else 1
    return torch.rand(
        batch, input.shape[-dims - 1], dims, dtype=input.dtype, device=input.device
    )


for _dims in (2, 3):
    _name = f"fractional_max_pool{_dims}d"
    _pool = getattr(F, _name)
    _fractional(_dims, _pool, *functions("functional", _name), returns_indices=False)
    _both = functions("functional", f"{_name}_with_indices")
    _fractional(_dims, _pool, *_both, returns_indices=True)


@RULES.freezes(*functions("_nn", "fractional_max_pool2d"))
def native_2d(
    input: Tensor, kernel_size: Any, output_size: Any, _random_samples: Tensor
) -> Any:
    rule = RULES[F.fractional_max_pool2d_with_indices].function
    return rule(input, kernel_size, output_size, _random_samples=_random_samples)


@RULES.freezes(*functions("_nn", "fractional_max_pool3d"))
def native_3d(
    input: Tensor, kernel_size: Any, output_size: Any, _random_samples: Tensor
) -> Any:
    rule = RULES[F.fractional_max_pool3d_with_indices].function
    return rule(input, kernel_size, output_size, _random_samples=_random_samples)


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
