"""Where the pieces of piecewise affine ops end.

A piece is the set of arguments on which every *gap* of the op is at least 0. relu has the gap
|z|, clamp |z − min| and |max − z|, max pooling y − z for every z of a window, a comparison
|a − b|. Gaps are affine on the piece, so along a line each reaches 0 at −gap/slope.

Each function here takes the op's own arguments and returns the gaps at them, computed so that
they can be differentiated. Ops that are piecewise affine and not listed have no known gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.spellings import functions, spellings, writings

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["KINKS", "MULTILINEAR"]

Gaps = Callable[..., list[Tensor]]
KINKS: dict[Op, Gaps] = {}
_nn = torch._C._nn

# Affine where one argument alone is active, whichever it is.
MULTILINEAR = frozenset(
    (
        *spellings("mul", "multiply", "matmul", "mm", "bmm", "mv", "dot", "inner", "outer"),
        *spellings("addmm", "addmv", "addbmm", "baddbmm", "tensordot", "einsum", "kron"),
        *(Tensor.__mul__, Tensor.__rmul__, Tensor.__imul__, Tensor.mul_),
        *(Tensor.__matmul__, Tensor.__rmatmul__, F.linear, F.bilinear),
    )
)


def _of(*ops: Op) -> Callable[[Gaps], Gaps]:
    """Register the gaps of ``ops``."""

    def register(gaps: Gaps) -> Gaps:
        KINKS.update(dict.fromkeys(ops, gaps))
        return gaps

    return register


def _held(gap: Tensor, is_positive: Tensor) -> Tensor:
    """The gap with the sign it has on this piece; the kink itself belongs to one side."""
    return torch.where(is_positive, gap, -gap)


def _tie(first: Any, second: Any) -> list[Tensor]:
    """|a − b|, a tie on both sides, so that the piece ends there whatever moves."""
    gap = first - second
    return [_held(gap, gap > 0), _held(gap, gap >= 0)]


@_of(
    *spellings("relu", "relu_", "prelu"), F.relu, _nn.leaky_relu, _nn.leaky_relu_, F.leaky_relu
)
def _relu(input: Tensor, *args: Any, **kwargs: Any) -> list[Tensor]:
    return [_held(input, input > 0)]


@_of(_nn.hardtanh, _nn.hardtanh_)
def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> list[Tensor]:
    return [_held(input - min_val, input > min_val), _held(max_val - input, input < max_val)]


@_of(_nn.relu6, _nn.relu6_)
def _relu6(input: Tensor) -> list[Tensor]:
    return _hardtanh(input, 0.0, 6.0)


@_of(_nn.hardsigmoid, _nn.hardsigmoid_)
def _hardsigmoid(input: Tensor) -> list[Tensor]:
    return _hardtanh(input, -3.0, 3.0)


@_of(torch.threshold, torch.threshold_)
def _threshold(input: Tensor, threshold: float, value: float) -> list[Tensor]:
    return [_held(input - threshold, input > threshold)]


@_of(_nn.softshrink, torch.hardshrink, Tensor.hardshrink)
def _shrink(input: Tensor, lambd: float = 0.5) -> list[Tensor]:
    return [_held(input - lambd, input > lambd), _held(-lambd - input, input < -lambd)]


@_of(*spellings("clamp", "clip"), *writings("clamp", "clip"))
def _clamp(input: Tensor, min: Any = None, max: Any = None) -> list[Tensor]:
    lower = [] if min is None else [_held(input - min, input >= min)]
    upper = [] if max is None else [_held(max - input, input <= max)]
    return lower + upper


@_of(*spellings("clamp_min"), *writings("clamp_min"))
def _clamp_min(input: Tensor, min: Any) -> list[Tensor]:
    return _clamp(input, min)


@_of(*spellings("clamp_max"), *writings("clamp_max"))
def _clamp_max(input: Tensor, max: Any) -> list[Tensor]:
    return _clamp(input, None, max)


@_of(*spellings("abs", "absolute", "sign"), *writings("abs", "absolute", "sign"))
def _sign(input: Tensor) -> list[Tensor]:
    return _tie(input, 0)


@_of(
    *spellings("maximum", "minimum", "fmax", "fmin", "eq", "ne", "not_equal", "lt", "less"),
    *spellings("le", "less_equal", "gt", "greater", "ge", "greater_equal"),
    *spellings("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
)
def _comparison(input: Any, other: Any) -> list[Tensor]:
    return _tie(input, other)


@_of(*spellings("isnan", "isinf", "isfinite", "zeros_like", "ones_like", "full_like"))
def _none(*args: Any, **kwargs: Any) -> list[Tensor]:
    return []


@_of(*spellings("max", "argmax"))
def _max(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None
) -> list[Tensor]:
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return _tie(input, other)
    largest = input.max() if dim is None else input.max(dim, keepdim=True).values
    return [largest - input]


@_of(*spellings("min", "argmin"))
def _min(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None
) -> list[Tensor]:
    other = dim if isinstance(dim, Tensor) else other
    return _max(-input, dim if other is None else -other)


@_of(*spellings("amax"))
def _amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> list[Tensor]:
    return [input.amax(dim, keepdim=True) - input]


@_of(*spellings("amin"))
def _amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> list[Tensor]:
    return [input - input.amin(dim, keepdim=True)]


@_of(*spellings("sort", "argsort"))
def _sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> list[Tensor]:
    gaps = input.sort(dim).values.diff(dim=dim)
    return [gaps]


@_of(*spellings("msort"))
def _msort(input: Tensor) -> list[Tensor]:
    return _sort(input, 0)


@_of(*spellings("topk"))
def _topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Tensor]:
    """Neighbours among the chosen, and the last of them against all that are not."""
    values = input if largest else -input
    ordered = values.sort(dim, descending=True).values
    chosen, others = ordered.split([k, ordered.shape[dim] - k], dim)
    last = chosen.narrow(dim, k - 1, 1)
    return [-chosen.diff(dim=dim), last - others]


@_of(*spellings("median"))
def _median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> list[Tensor]:
    middle = input.median() if dim is None else input.median(dim, keepdim=True).values
    return _around(input, middle)


@_of(*spellings("kthvalue"))
def _kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> list[Tensor]:
    return _around(input, input.kthvalue(k, dim, keepdim=True).values)


def _around(input: Tensor, chosen: Tensor) -> list[Tensor]:
    return [_held(input - chosen, input.detach() > chosen.detach())]


def _pools(dims: int, *ops: Op) -> None:
    """Register max pooling over the last ``dims`` dimensions."""

    @_of(*ops)
    def _max_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> list[Tensor]:
        sizes = _each(kernel_size, dims)
        strides = sizes if stride is None or stride == [] else _each(stride, dims)
        paddings, dilations = _each(padding, dims), _each(dilation, dims)
        lengths = input.shape[-dims:]
        options = zip(lengths, sizes, strides, paddings, dilations, strict=True)
        return _windows_gaps(input, [_windows(*each, ceil_mode) for each in options])


def _adaptive_pools(dims: int, *ops: Op) -> None:
    @_of(*ops)
    def _adaptive_max_pool(
        input: Tensor, output_size: Any, return_indices: bool = False
    ) -> list[Tensor]:
        lengths = input.shape[-dims:]
        wanted = zip(lengths, _each(output_size, dims), strict=True)
        return _windows_gaps(input, [_adaptive_windows(n, out or n) for n, out in wanted])


def _each(option: Any, dims: int) -> list[Any]:
    values = list(option) if isinstance(option, (list, tuple)) else [option]
    return values * dims if len(values) == 1 else values


def _windows(
    length: int, size: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Tensor:
    """(windows, size): the places each window sees; the last one again for those outside."""
    room = length + 2 * padding - dilation * (size - 1) - 1
    windows = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (windows - 1) * stride >= length + padding:
        windows -= 1  # no window starts in the padding at the end
    starts = torch.arange(windows)[:, None] * stride - padding
    return _inside(starts + torch.arange(size) * dilation, length)


def _adaptive_windows(length: int, windows: int) -> Tensor:
    starts = torch.arange(windows) * length // windows
    ends = -(-(torch.arange(windows) + 1) * length // windows)
    places = starts[:, None] + torch.arange(int((ends - starts).max()))
    return torch.minimum(places, ends[:, None] - 1)


def _inside(places: Tensor, length: int) -> Tensor:
    is_inside = (places >= 0) & (places < length)
    last = places.masked_fill(~is_inside, -1).amax(1, keepdim=True)
    return torch.where(is_inside, places, last)


def _windows_gaps(input: Tensor, windows: list[Tensor]) -> list[Tensor]:
    """y − z, (\\*out, candidates), for every z that a window of y sees."""
    dims, seen = len(windows), input
    for number, places in enumerate(windows):
        dim = input.dim() - dims + 2 * number
        flat = places.to(input.device).flatten()
        seen = seen.index_select(dim, flat).unflatten(dim, tuple(places.shape))
    first = input.dim() - dims
    seen = seen.movedim(
        [first + 2 * number + 1 for number in range(dims)], list(range(-dims, 0))
    ).flatten(-dims)
    chosen = seen.detach().argmax(-1, keepdim=True)
    return [seen.gather(-1, chosen) - seen]


for _dims in (1, 2, 3):
    _name = f"max_pool{_dims}d"
    _pools(
        _dims,
        *functions("functional", _name, f"{_name}_with_indices"),
        *functions("_nn", f"{_name}_with_indices"),
        *spellings(_name, f"{_name}_with_indices"),
    )
    _adaptive_pools(
        _dims,
        *functions("functional", f"adaptive_{_name}", f"adaptive_{_name}_with_indices"),
        *spellings(f"adaptive_{_name}"),
        *functions("_nn", f"adaptive_{_name}"),
    )
