"""Inverses and solutions of linear equations between two points.

ΔA⁻¹ = −A⁻¹ ΔA A'⁻¹ = −A'⁻¹ ΔA A⁻¹, and of AX = B ΔX = A⁻¹ (ΔB − ΔA X') = A'⁻¹ (ΔB − ΔA X): D is
the mean of the two, and does not change when the points are exchanged.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.rules.between import stepped
from captum_ilin.rules.spellings import functions, spellings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable

    End = tuple[tuple[Any, ...], Tensor]

__all__ = ["RULES"]

RULES = RuleTable()
_types: Any = torch.return_types  # not all of them are typed


@RULES.freezes(*spellings("inverse"), *functions("linalg", "inv"))
def inverse(A: Tensor) -> Tensor:
    def move(steps: tuple[Tensor], here: End, there: End) -> Tensor:
        (step,), (_, Y), (_, Z) = steps, here, there
        return (Y @ step @ Z + Z @ step @ Y) / -2

    return stepped(torch.linalg.inv, move, A)


@RULES.decomposes(torch.linalg.inv_ex)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    info = torch.linalg.inv_ex(A.detach(), check_errors=check_errors).info
    return _types.linalg_inv_ex((torch.linalg.inv(A), info))


@RULES.decomposes(torch.linalg.tensorinv)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    shape = A.shape
    matrix = A.reshape(shape[:ind].numel(), -1)
    return torch.linalg.inv(matrix).reshape(*shape[ind:], *shape[:ind])


def _solution(
    solve: Callable[[Tensor, Tensor], Tensor],
    times: Callable[[Tensor, Tensor], Tensor],
    A: Tensor,
    B: Tensor,
) -> Tensor:
    """X of AX = B, where ``times`` is the product of A and X."""

    def move(steps: tuple[Tensor, Tensor], here: End, there: End) -> Tensor:
        (step_A, step_B), ((A, _), X), ((A_there, _), X_there) = steps, here, there
        return (
            solve(A, step_B - times(step_A, X_there))
            + solve(A_there, step_B - times(step_A, X))
        ) / 2

    return stepped(solve, move, A, B)


@RULES.freezes(torch.linalg.solve)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    is_vector = B.dim() == 1 or B.shape == A.shape[:-1]

    def times(A: Tensor, X: Tensor) -> Tensor:
        if is_vector:
            return (A @ X.unsqueeze(-1)).squeeze(-1)
        return A @ X if left else X @ A

    return _solution(partial(torch.linalg.solve, left=left), times, A, B)


@RULES.decomposes(torch.linalg.solve_ex)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    info = torch.linalg.inv_ex(A.detach(), check_errors=check_errors).info
    return _types.linalg_solve_ex((torch.linalg.solve(A, B, left=left), info))


@RULES.decomposes(torch.linalg.tensorsolve)
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    moved = A if dims is None else A.movedim(dims, tuple(range(A.dim() - len(dims), A.dim())))
    matrix = moved.reshape(B.numel(), -1)
    return torch.linalg.solve(matrix, B.reshape(-1)).reshape(moved.shape[B.dim() :])


@RULES.freezes(torch.linalg.solve_triangular)
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    options = {"upper": upper, "left": left, "unitriangular": unitriangular}
    beside = int(unitriangular)

    def times(A: Tensor, X: Tensor) -> Tensor:
        part = A.triu(beside) if upper else A.tril(-beside)
        return part @ X if left else X @ part

    return _solution(partial(torch.linalg.solve_triangular, **options), times, A, B)


@RULES.decomposes(*spellings("triangular_solve"))
def triangular_solve(
    b: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    matrix = A.mT if transpose else A
    solution = torch.linalg.solve_triangular(
        matrix, b, upper=upper != transpose, unitriangular=unitriangular
    )
    return _types.triangular_solve((solution, A.clone()))


@RULES.decomposes(*spellings("cholesky_solve"))
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """L Lᴴ X = B by two triangular equations."""
    lower = L.mH if upper else L
    between = torch.linalg.solve_triangular(lower, B, upper=False)
    return torch.linalg.solve_triangular(lower.mH, between, upper=True)


@RULES.decomposes(*spellings("cholesky_inverse"))
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    identity = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device).expand(L.shape)
    return torch.cholesky_solve(identity, L, upper)
