"""Cases of linear algebra."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from tests.rules import references as ref
from tests.rules.cases import active, case, values

linalg = torch.linalg


def well(*shape: int) -> Tensor:
    """A matrix far from singular."""
    return values(*shape, low=-0.4, high=0.4) + torch.eye(shape[-1]).double() * 2


def posdef(size: int) -> Tensor:
    half = values(size, size, low=-0.5, high=0.5)
    return half @ half.T + torch.eye(size).double() * 2


def moving(tensor: Tensor) -> Tensor:
    return tensor.requires_grad_()


INVERSES = (torch.inverse, Tensor.inverse, torch.pinverse, Tensor.pinverse, linalg.inv)
INVERSES += (linalg.inv_ex, linalg.pinv, linalg.cond, torch.det, Tensor.det, linalg.det)
INVERSES += (torch.logdet, Tensor.logdet, torch.slogdet, Tensor.slogdet, linalg.slogdet)
INVERSES += (torch.matrix_exp, Tensor.matrix_exp, linalg.matrix_exp)
case(INVERSES, lambda: (moving(well(3, 3)),), ref.tangent)
CHOLESKY = (torch.cholesky, Tensor.cholesky, linalg.cholesky, linalg.cholesky_ex)
case(CHOLESKY, lambda: (moving(posdef(3)),), ref.tangent)
case(
    (torch.cholesky_inverse, Tensor.cholesky_inverse),
    lambda: (moving(torch.linalg.cholesky(posdef(3))),),
    ref.tangent,
)
case((linalg.tensorinv,), lambda: (moving(well(4, 4).reshape(2, 2, 4)), 2), ref.tangent)
case((torch.dist, Tensor.dist), lambda: (active(5), values(5)), ref.tangent)
case((torch.nuclear_norm, torch.frobenius_norm), lambda: (active(2, 3), [0, 1]), ref.tangent)
case((torch.norm_except_dim,), lambda: (active(2, 3), 2, 0), ref.tangent)
case(
    (torch.cov, Tensor.cov, torch.corrcoef, Tensor.corrcoef),
    lambda: (active(2, 4),),
    ref.tangent,
)
case((linalg.diagonal,), lambda: (active(2, 3, 3),), ref.affine)

SOLVES = (linalg.solve, linalg.solve_ex, linalg.tensorsolve)
case(SOLVES, lambda: (well(3, 3), active(3)), ref.affine)
case(SOLVES, lambda: (moving(well(3, 3)), values(3)), ref.tangent)
case((linalg.solve_triangular,), lambda: (well(3, 3), active(3, 2)), ref.affine, upper=True)
case((linalg.lstsq,), lambda: (well(3, 3), active(3, 2)), ref.affine)
LAST = (torch.cholesky_solve, Tensor.cholesky_solve, torch.triangular_solve)
LAST += (Tensor.triangular_solve,)
case(LAST, lambda: (active(3, 2), torch.linalg.cholesky(posdef(3))), ref.affine)


def factors() -> tuple[Tensor, Tensor]:
    return torch.linalg.lu_factor(well(3, 3))


case((torch.lu_solve, Tensor.lu_solve), lambda: (active(3, 2), *factors()), ref.affine)
case((linalg.lu_solve,), lambda: (*factors(), active(3, 2)), ref.affine)


def _held_matrix(flat: ref.Flat) -> ref.Map:
    """A⁻¹ B: the inverse held, B flows."""
    matrix, right = (t.detach() for t in flat.active)
    slope = torch.kron(
        torch.linalg.inv(matrix).contiguous(), torch.eye(right.shape[1]).double()
    )
    none = torch.zeros(right.numel(), matrix.numel()).double()
    return torch.cat([none, slope], 1), none[:, 0]


case((linalg.solve,), lambda: (moving(well(3, 3)), active(3, 2)), _held_matrix)
POWERS = (linalg.matrix_power, torch.matrix_power, Tensor.matrix_power)


def _power(flat: ref.Flat, n: int = 3) -> ref.Map:
    """Xⁿ, a product of n factors: one nth of the sum of X^i dX X^(n-1-i)."""
    matrix = flat.active[0].detach()
    powers = [torch.eye(len(matrix)).double()]
    for _ in range(n):
        powers.append(powers[-1] @ matrix)
    slope = sum(torch.kron(powers[i], powers[n - 1 - i].T.contiguous()) for i in range(n)) / n
    return slope, torch.zeros(len(slope)).double()


case(POWERS, lambda: (moving(well(3, 3)), 3), _power)
case(POWERS, lambda: (moving(well(3, 3)), -1), ref.tangent)
case(POWERS, lambda: (moving(well(3, 3)), 1), partial(_power, n=1))
PAIRS = (torch.kron, Tensor.kron)
case(PAIRS, lambda: (active(2, 2), active(2, 3)), ref.even_split)
case(PAIRS, lambda: (values(2, 2), active(2, 3)), ref.affine)
CROSS = (torch.cross, Tensor.cross, linalg.cross)
case(CROSS, lambda: (active(2, 3), active(2, 3)), ref.even_split, dim=1)
case(CROSS, lambda: (active(2, 3), values(2, 3)), ref.affine, dim=1)
DOTS = (torch.vdot, Tensor.vdot, linalg.vecdot)
case(DOTS, lambda: (active(4), active(4)), ref.even_split)
case(DOTS, lambda: (active(4), values(4)), ref.affine)
THREE = (2, 3), (3, 2), (2, 4)
case((linalg.multi_dot,), lambda: ([active(*s) for s in THREE],), ref.even_split)
case((linalg.multi_dot,), lambda: ([active(2, 3), values(3, 2)],), ref.affine)
case((torch.chain_matmul,), lambda: tuple(active(*s) for s in THREE), ref.even_split)
case((torch._VF.chain_matmul,), lambda: ([active(*s) for s in THREE],), ref.even_split)
case(
    (torch.sparse.mm,),
    lambda: (well(3, 3).to_sparse(), active(3, 2)),
    ref.affine,
)
