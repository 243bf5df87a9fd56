"""Products of several factors between two points: polynomials, whose slopes are averaged.

A product of n factors is shared as Shapley would. Beyond `MOST` factors it is a product of
products, each of them shared so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.activity import is_active
from captum_ilin.arguments import tensors
from captum_ilin.rules.between import along
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["MOST", "RULES", "polynomial"]

RULES = RuleTable()
_types: Any = torch.return_types  # not all of them are typed
MOST = 32


def polynomial(op: Op, degree: int, *args: Any, **kwargs: Any) -> Any:
    """``op``, a polynomial of this degree in its active arguments, as an op of its own."""
    given = tuple(tensors((args, kwargs)))
    if not has_torch_function(given):
        return op(*args, **kwargs)
    return handle_torch_function(polynomial, given, op, degree, *args, **kwargs)


@RULES.freezes(polynomial)
def averaged(op: Op, degree: int, *args: Any, **kwargs: Any) -> Any:
    """The slope averaged along the line; one of degree one runs as it is."""
    return op(*args, **kwargs) if degree <= 1 else along(op, *args, degree=degree, **kwargs)


def _factors(*values: Any) -> int:
    """How many of them are active."""
    return sum(map(is_active, tensors(values)))


@RULES.decomposes(torch.einsum)
def einsum(*operands: Any) -> Any:
    return polynomial(torch.einsum, _factors(*operands), *operands)


@RULES.decomposes(torch.linalg.multi_dot)
def multi_dot(tensors: Any, **options: Any) -> Any:
    return polynomial(torch.linalg.multi_dot, _factors(*tensors), tensors)


@RULES.decomposes(*spellings("chain_matmul"))
def chain_matmul(*matrices: Any) -> Any:
    factors = matrices[0] if isinstance(matrices[0], (list, tuple)) else matrices
    return polynomial(torch.linalg.multi_dot, _factors(*factors), list(factors))


@RULES.decomposes(F.bilinear)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    degree = _factors(input1, input2, weight)
    return polynomial(F.bilinear, max(degree, 1), input1, input2, weight, bias)


@RULES.decomposes(torch.prod, Tensor.prod)
def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    values = input if dtype is None else input.to(dtype)
    if dim is None:
        values = values.reshape(-1)
    along_dim = 0 if dim is None else dim % max(values.dim(), 1)
    if not values.dim():
        return values
    while values.shape[along_dim] > MOST:
        values = _in_groups(values, along_dim)
        values = polynomial(torch.prod, MOST, values, along_dim + 1)
    result: Tensor = polynomial(torch.prod, values.shape[along_dim], values, along_dim)
    return result.unsqueeze(along_dim) if keepdim and dim is not None else result


def _in_groups(values: Tensor, dim: int) -> Tensor:
    """``values`` in groups of `MOST`, the last filled up with ones."""
    missing = -values.shape[dim] % MOST
    behind = 2 * (values.dim() - 1 - dim)
    filled = F.pad(values, (*[0] * behind, 0, missing), value=1.0)
    return filled.unflatten(dim, (-1, MOST))


@RULES.decomposes(torch.cumprod, Tensor.cumprod)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Of many factors by doubling: each product times the one of as many factors before it."""
    values = input if dtype is None else input.to(dtype)
    count = values.shape[dim] if values.dim() else 1
    if count <= MOST:
        few: Tensor = polynomial(torch.cumprod, count, values, dim)
        return few
    values, reach = values.movedim(dim, -1), 1
    while reach < count:
        values = values * F.pad(values[..., :-reach], (reach, 0), value=1.0)
        reach *= 2
    return values.movedim(-1, dim)


@RULES.decomposes(*writings("cumprod"))
def cumprod_(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    return input.copy_(torch.cumprod(input, dim, dtype=dtype))


@RULES.decomposes(torch.linalg.matrix_power, torch.matrix_power, Tensor.matrix_power)
def matrix_power(input: Tensor, n: int) -> Any:
    """A negative power is one of the inverse; a large one a product of smaller ones."""
    if n < 0:
        return matrix_power(torch.linalg.inv(input), -n)
    if n > MOST:
        half = matrix_power(input, n // 2)
        square = torch.matmul(half, half)
        return torch.matmul(square, input) if n % 2 else square
    return polynomial(torch.linalg.matrix_power, n, input, n)


@RULES.decomposes(*spellings("det"), *functions("linalg", "det"))
def det(A: Tensor) -> Any:
    """A determinant is a polynomial of the degree that its matrix has rows."""
    return polynomial(torch.linalg.det, A.shape[-1], A)


@RULES.decomposes(*spellings("logdet"))
def logdet(A: Tensor) -> Tensor:
    return torch.linalg.det(A).log()


def _with_sign(op: Op, kind: Any) -> None:
    @RULES.decomposes(op)
    def slogdet(A: Tensor) -> Any:
        """The sign, which is constant, and log |det A|."""
        determinant = torch.linalg.det(A)
        return kind((torch.sgn(determinant), determinant.abs().log()))


for _op in spellings("slogdet"):
    _with_sign(_op, _types.slogdet)
_with_sign(torch.linalg.slogdet, _types.linalg_slogdet)
