"""Norms, distances and deviations between two points.

Δ‖z‖ = (z + z')ᵀ Δz / (‖z‖ + ‖z'‖), and 0 where both are 0; Δ√s = Δs / (√s + √s'), the same.
A norm of another order is spelled out.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.rules.between import matrixed
from captum_ilin.rules.rescale import rescaling
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.slope import Slope

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RULES", "length", "root"]

RULES = RuleTable()


def length(input: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """‖z‖ over ``dims``, as an op of its own."""
    if not has_torch_function((input,)):
        return torch.linalg.vector_norm(input, 2, dims, keepdim)
    result: Tensor = handle_torch_function(length, (input,), input, dims, keepdim)
    return result


@RULES.freezes(length)
def length_between(input: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
        value = length(here, dims, True)
        total = value + length(there, dims, True)
        h = (here + there).div_(total.masked_fill(total == 0, 1.0))

        def push(step: Tensor, h: Tensor) -> Tensor:
            return (step * h).sum(dims, keepdim=keepdim)

        def pull(vector: Tensor, h: Tensor) -> Tensor:
            return h * (vector if keepdim else vector.reshape(value.shape))

        return value if keepdim else value.squeeze(dims).clone(), Slope(push, pull, (h,))

    return matrixed(input, compute)


def root(input: Tensor, order: float = 2) -> Tensor:
    """The root of a sum of powers, as an op of its own, without a slope between 0 and 0."""
    if not has_torch_function((input,)):
        return input.sqrt() if order == 2 else input.pow(1 / order)
    result: Tensor = handle_torch_function(root, (input,), input, order)
    return result


@RULES.freezes(root)
def root_between(input: Tensor, order: float = 2) -> Tensor:
    def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
        value, slope = _root_and_slope(here, there, order)
        slope = slope.masked_fill((here == 0) & (there == 0), 0.0)
        return value, Slope(torch.mul, torch.mul, (slope,))

    return matrixed(input, compute)


def _root_and_slope(here: Tensor, there: Tensor, order: float) -> tuple[Tensor, Tensor]:
    if order != 2:
        return rescaling(lambda total: root(total, order), here, there)
    value = here.sqrt()
    return value, (value + there.sqrt()).reciprocal_()


@RULES.decomposes(torch.linalg.vector_norm)
def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    dims = _all_dims(x, dim)
    if ord == 2 and not x.is_complex():
        return length(x, dims, keepdim)
    sizes = x.abs()
    if ord == inf:
        return sizes.amax(dims, keepdim)
    if ord == -inf:
        return sizes.amin(dims, keepdim)
    if ord == 0:
        return torch.ne(sizes, 0).to(sizes.dtype).sum(dims, keepdim)
    if ord == 1:
        return sizes.sum(dims, keepdim)
    if ord == 2:
        return length(sizes, dims, keepdim)
    return root(torch.pow(sizes, ord).sum(dims, keepdim), ord)


def _all_dims(x: Tensor, dim: int | Sequence[int] | None) -> tuple[int, ...]:
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(x.dim()))
    return (dim,) if isinstance(dim, int) else tuple(dim)


@RULES.decomposes(torch.linalg.matrix_norm)
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Norms made of singular values have these at their tangent, reported."""
    A = A if dtype is None else A.to(dtype)
    rows, columns = (one % A.dim() for one in dim)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        values = torch.linalg.svdvals(A.movedim((rows, columns), (-2, -1)))
        found = _of_singular_values(values, ord)
        first, second = sorted((rows, columns))
        return found.unsqueeze(first).unsqueeze(second) if keepdim else found
    assert not isinstance(ord, str)  # or PyTorch had refused
    summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = A.abs().sum(summed, keepdim=True)
    found = sums.amax(compared, True) if ord > 0 else sums.amin(compared, True)
    return found if keepdim else found.squeeze((rows, columns))


def _of_singular_values(values: Tensor, ord: float | str) -> Tensor:
    if ord == "nuc":
        return values.sum(-1)
    return values.amax(-1) if ord == 2 else values.amin(-1)


@RULES.decomposes(torch.linalg.norm)
def linalg_norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    dims = _all_dims(A, dim)
    if len(dims) == 1 and not isinstance(ord, str):
        return vector_norm(A, ord, dims, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dims, keepdim, dtype=dtype)


@RULES.decomposes(torch.norm, Tensor.norm)
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    if p == "nuc":
        return matrix_norm(input, "nuc", _all_dims(input, dim), keepdim, dtype=dtype)
    order = 2 if p is None or isinstance(p, str) else p
    return vector_norm(input, order, dim, keepdim, dtype=dtype)


@RULES.decomposes(*spellings("frobenius_norm"))
def frobenius_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    return vector_norm(input, 2, dim, keepdim)


@RULES.decomposes(*spellings("norm_except_dim"))
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """What weight normalisation divides by; of everything where ``dim`` is −1."""
    if dim == -1:
        return vector_norm(v, pow)
    return vector_norm(v, pow, [other for other in range(v.dim()) if other != dim], True)


@RULES.decomposes(*spellings("dist"))
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    return vector_norm(input - other, p)


@RULES.decomposes(F.pairwise_distance)
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


@RULES.decomposes(torch.cdist)
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@RULES.decomposes(F.pdist)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    first, second = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return vector_norm(input[first] - input[second], p, -1)


@RULES.decomposes(*spellings("hypot"))
def hypot(input: Tensor, other: Tensor) -> Tensor:
    return length(torch.stack(torch.broadcast_tensors(input, other)), (0,), False)


@RULES.decomposes(*writings("hypot"))
def hypot_(input: Tensor, other: Tensor) -> Tensor:
    return input.copy_(hypot(input, other))


@RULES.decomposes(*spellings("std"))
def std(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return root(torch.var(input, *args, **kwargs))


@RULES.decomposes(torch.var_mean)
def var_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    return torch.var(input, *args, **kwargs), _mean(input, *args, **kwargs)


@RULES.decomposes(torch.std_mean)
def std_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    return std(input, *args, **kwargs), _mean(input, *args, **kwargs)


def _mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Any = 1,
) -> Tensor:
    """The mean where these arguments take a variance; the second may stand first."""
    dims = None if isinstance(dim, bool) else dim
    return torch.mean(input, dims, keepdim) if dims is not None or keepdim else input.mean()


@RULES.decomposes(*spellings("corrcoef"))
def corrcoef(input: Tensor) -> Tensor:
    """Covariances over both deviations, within −1 and 1."""
    covariances = torch.cov(input)
    if covariances.dim() == 0:
        return covariances / covariances
    inverse = torch.reciprocal(root(covariances.diagonal()))
    return (covariances * inverse[:, None] * inverse[None, :]).clamp(-1, 1)
