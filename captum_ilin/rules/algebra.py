"""Linear algebra.

X = A⁻¹ B is a quotient: linear in B, an active A held as a denominator is, and where A alone
is active its tangent. A power Aⁿ is a product of n equal factors, shared evenly. Inverses,
determinants and exponentials are taken at their tangent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.holding import hold
from captum_ilin.rule import Kind
from captum_ilin.rules.primitives import product
from captum_ilin.rules.spellings import functions, spellings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import linearized, tangent

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.rule import Op

__all__ = ["RULES", "SOLVES"]

RULES = RuleTable()

RULES.runs(Kind.LINEAR, torch.linalg.diagonal)


def _tangents(*ops: Op, rank: int, scale_rank: int | None = 0) -> None:
    for op in ops:
        register = RULES.freezes(op, rank=rank, scale_rank=scale_rank, is_tangent=True)
        register(partial(tangent, op))


# Reciprocals and scales: gates of rank 2, as 1/z and norms are.
_tangents(
    *spellings("inverse", "pinverse", "cholesky_inverse"),
    *functions("linalg", "inv", "inv_ex", "pinv", "tensorinv"),
    rank=2,
    scale_rank=None,
)
_tangents(
    *functions("linalg", "cond"),
    *spellings("dist", "nuclear_norm", "frobenius_norm", "norm_except_dim"),
    *spellings("cov", "corrcoef"),
    rank=2,
    scale_rank=2,
)
# Other values.
_tangents(*spellings("det", "logdet", "slogdet", "matrix_exp", "cholesky"), rank=0)
_tangents(*functions("linalg", "det", "slogdet", "matrix_exp"), rank=0)
_tangents(*functions("linalg", "cholesky", "cholesky_ex"), rank=0)


def _solution(solve: Callable[..., Any], matrix: Any, right: Any) -> Any:
    """solve(A, B): an active A is held where B is active too."""
    if not hold(lambda: is_active(matrix)):
        return solve(matrix, right)
    if hold(lambda: is_active(right)):
        return solve(hold(matrix), right)
    return tangent(solve, matrix, right)


def _solves_matrix_first(op: Op) -> None:
    @RULES.freezes(op)
    def rule(A: Tensor, B: Tensor, *args: Any, **kwargs: Any) -> Any:
        return _solution(lambda A, B: op(A, B, *args, **kwargs), A, B)


def _solves_matrix_second(op: Op) -> None:
    @RULES.freezes(op)
    def rule(input: Tensor, matrix: Tensor, *args: Any, **kwargs: Any) -> Any:
        return _solution(lambda A, B: op(B, A, *args, **kwargs), matrix, input)


_MATRIX_FIRST = functions(
    *("linalg", "solve", "solve_ex", "tensorsolve", "solve_triangular", "lstsq")
)
_MATRIX_SECOND = spellings("cholesky_solve", "triangular_solve", "lu_solve")
for _op in _MATRIX_FIRST:
    _solves_matrix_first(_op)
for _op in _MATRIX_SECOND:
    _solves_matrix_second(_op)
SOLVES = (*_MATRIX_FIRST, *_MATRIX_SECOND, torch.linalg.lu_solve)


@RULES.freezes(torch.linalg.lu_solve)
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, **options: Any) -> Tensor:
    def solve(LU: Tensor, B: Tensor) -> Tensor:
        return torch.linalg.lu_solve(LU, pivots, B, **options)

    return _solution(solve, LU, B)


@RULES.freezes(torch.linalg.matrix_power, torch.matrix_power, Tensor.matrix_power)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """A positive power is a product of n equal factors; any other its tangent."""
    if n < 1:
        return tangent(torch.linalg.matrix_power, input, n)
    return linearized(torch.linalg.matrix_power, (input, n), {}, [0], share=1 / n)


def _multiplies(op: Op, *aliases: Op, mixes: bool = True) -> None:
    """Register a bilinear op of its first two arguments."""

    @RULES.freezes(op, *aliases, mixes=mixes, affine_in_first=True)
    def rule(input: Tensor, other: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return product(lambda a, b: op(a, b, *args, **kwargs), input, other)


_multiplies(*spellings("kron"), mixes=False)
_multiplies(*spellings("cross"))
_multiplies(torch.linalg.cross)
_multiplies(*spellings("vdot"))
_multiplies(*functions("_VF", "_grouped_mm"))


@RULES.freezes(torch.linalg.vecdot, mixes=True, affine_in_first=True)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    return product(lambda x, y: torch.linalg.vecdot(x, y, dim=dim), x, y)


def _chain(op: Op) -> None:
    @RULES.freezes(op, mixes=True)
    def rule(*matrices: Any) -> Tensor:
        factors = matrices[0] if isinstance(matrices[0], (list, tuple)) else matrices
        return product(lambda *factors: torch.linalg.multi_dot(factors), *factors)


_chain(torch.linalg.multi_dot)
for _op in spellings("chain_matmul"):
    _chain(_op)
