"""Where the pieces of piecewise affine ops end.

A piece is the set of arguments on which no *gap* of the op changes its sign. relu has the gap
z, clamp z − min and z − max, max pooling y − z for every z of a window, a comparison a − b.
Gaps are affine on the piece, so along a line each reaches 0 at −gap/slope.

Each function here takes the op's own arguments and returns the gaps at them, computed so that
they can be differentiated. Ops that are piecewise affine and not listed have no known gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.gap import Gap
from captum_ilin.rules.spellings import spellings, writings

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["KINKS", "MULTILINEAR"]

Gaps = Callable[..., list[Gap]]
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


def _tie(first: Any, second: Any) -> list[Gap]:
    """a − b; equal, they are a tie."""
    if isinstance(first, Tensor) and isinstance(second, (int, float)):
        return [Gap(first, second, side=0)]
    return [Gap(first - second, side=0)]


@_of(
    *spellings("relu", "relu_", "prelu"), F.relu, _nn.leaky_relu, _nn.leaky_relu_, F.leaky_relu
)
def _relu(input: Tensor, *args: Any, **kwargs: Any) -> list[Gap]:
    return [Gap(input, side=-1)]


@_of(_nn.hardtanh, _nn.hardtanh_)
def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> list[Gap]:
    return [Gap(input, min_val, side=-1), Gap(input, max_val)]


@_of(_nn.relu6, _nn.relu6_)
def _relu6(input: Tensor) -> list[Gap]:
    return _hardtanh(input, 0.0, 6.0)


@_of(_nn.hardsigmoid, _nn.hardsigmoid_)
def _hardsigmoid(input: Tensor) -> list[Gap]:
    return _hardtanh(input, -3.0, 3.0)


@_of(torch.threshold, torch.threshold_)
def _threshold(input: Tensor, threshold: float, value: float) -> list[Gap]:
    return [Gap(input, threshold, side=-1)]


@_of(_nn.softshrink, torch.hardshrink, Tensor.hardshrink)
def _shrink(input: Tensor, lambd: float = 0.5) -> list[Gap]:
    return [Gap(input, lambd, side=-1), Gap(input, -lambd)]


@_of(*spellings("clamp", "clip"), *writings("clamp", "clip"))
def _clamp(input: Tensor, min: Any = None, max: Any = None) -> list[Gap]:
    lower = [] if min is None else [_bound(input, min, side=1)]
    upper = [] if max is None else [_bound(input, max, side=-1)]
    return lower + upper


def _bound(input: Tensor, bound: Any, side: int) -> Gap:
    is_number = isinstance(bound, (int, float))
    return Gap(input, bound, side) if is_number else Gap(input - bound, side=side)


@_of(*spellings("clamp_min"), *writings("clamp_min"))
def _clamp_min(input: Tensor, min: Any) -> list[Gap]:
    return _clamp(input, min)


@_of(*spellings("clamp_max"), *writings("clamp_max"))
def _clamp_max(input: Tensor, max: Any) -> list[Gap]:
    return _clamp(input, None, max)


@_of(*spellings("abs", "absolute", "sign"), *writings("abs", "absolute", "sign"))
def _sign(input: Tensor) -> list[Gap]:
    return _tie(input, 0)


@_of(
    *spellings("maximum", "minimum", "fmax", "fmin", "eq", "ne", "not_equal", "lt", "less"),
    *spellings("le", "less_equal", "gt", "greater", "ge", "greater_equal"),
    *spellings("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
)
def _comparison(input: Any, other: Any) -> list[Gap]:
    return _tie(input, other)


@_of(*spellings("isnan", "isinf", "isfinite", "zeros_like", "ones_like", "full_like"))
def _none(*args: Any, **kwargs: Any) -> list[Gap]:
    return []


@_of(*spellings("max", "argmax"))
def _max(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None
) -> list[Gap]:
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return _tie(input, other)
    largest = input.max() if dim is None else input.max(dim, keepdim=True).values
    return [Gap(largest - input)]


@_of(*spellings("min", "argmin"))
def _min(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None
) -> list[Gap]:
    other = dim if isinstance(dim, Tensor) else other
    return _max(-input, dim if other is None else -other)


@_of(*spellings("amax"))
def _amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> list[Gap]:
    return [Gap(input.amax(dim, keepdim=True) - input)]


@_of(*spellings("amin"))
def _amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> list[Gap]:
    return [Gap(input - input.amin(dim, keepdim=True))]


@_of(*spellings("sort", "argsort"))
def _sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> list[Gap]:
    return [Gap(input.sort(dim).values.diff(dim=dim))]


@_of(*spellings("msort"))
def _msort(input: Tensor) -> list[Gap]:
    return _sort(input, 0)


@_of(*spellings("topk"))
def _topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Gap]:
    """Neighbours among the chosen, and the last of them against all that are not."""
    values = input if largest else -input
    ordered = values.sort(dim, descending=True).values
    chosen, others = ordered.split([k, ordered.shape[dim] - k], dim)
    last = chosen.narrow(dim, k - 1, 1)
    return [Gap(-chosen.diff(dim=dim)), Gap(last - others)]


@_of(*spellings("median"))
def _median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> list[Gap]:
    middle = input.median() if dim is None else input.median(dim, keepdim=True).values
    return _tie(input, middle)


@_of(*spellings("kthvalue"))
def _kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> list[Gap]:
    return _tie(input, input.kthvalue(k, dim, keepdim=True).values)
