"""Products and quotients of active factors.

The factor with the higher gate rank is held; a tie is split, ½·a·b0 + ½·a0·b. A quotient a/b
is the product of a and 1/b. With one active factor these ops are affine as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import gate_rank, is_active
from captum_ilin.holding import hold
from captum_ilin.rules.primitives import product, split
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import linearized, tangent

__all__ = ["RULES"]

RULES = RuleTable()


@RULES.freezes(
    *(torch.mul, Tensor.mul, torch.multiply, Tensor.multiply),
    *(Tensor.__mul__, Tensor.__rmul__),
    inplace=(Tensor.mul_, Tensor.multiply_, Tensor.__imul__),
    affine_in_first=True,
    is_elementwise=True,
)
def mul(input: Any, other: Any) -> Tensor:
    return product(torch.mul, input, other)


@RULES.freezes(
    torch.matmul,
    Tensor.matmul,
    Tensor.__matmul__,
    torch.linalg.matmul,
    mixes=True,
    affine_in_first=True,
)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    return product(torch.matmul, input, other)


@RULES.freezes(Tensor.__rmatmul__, mixes=True, affine_in_first=True)
def rmatmul(input: Tensor, other: Tensor) -> Tensor:
    return product(torch.matmul, other, input)


@RULES.freezes(torch.bmm, Tensor.bmm, mixes=True, affine_in_first=True)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    return product(torch.bmm, input, mat2)


@RULES.freezes(torch.mm, Tensor.mm, mixes=True, affine_in_first=True)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    return product(torch.mm, input, mat2)


@RULES.freezes(torch.mv, Tensor.mv, mixes=True, affine_in_first=True)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    return product(torch.mv, input, vec)


@RULES.freezes(torch.dot, Tensor.dot, mixes=True, affine_in_first=True)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    return product(torch.dot, input, tensor)


@RULES.freezes(torch.inner, Tensor.inner, mixes=True, affine_in_first=True)
def inner(input: Tensor, other: Tensor) -> Tensor:
    return product(torch.inner, input, other)


@RULES.freezes(torch.outer, Tensor.outer, torch.ger, Tensor.ger)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    return product(torch.outer, input, vec2)


@RULES.freezes(torch.sparse.mm, mixes=True, affine_in_first=True)
def sparse_mm(sparse: Tensor, dense: Tensor) -> Tensor:
    """A constant sparse matrix, such as a graph's adjacency, times active features."""
    return product(torch.sparse.mm, sparse, dense)


@RULES.freezes(torch.tensordot, mixes=True, affine_in_first=True)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Any = None) -> Tensor:
    return product(lambda a, b: torch.tensordot(a, b, dims), a, b)


@RULES.freezes(torch.einsum, mixes=True, affine_in_first=True)
def einsum(equation: Any, *operands: Any) -> Tensor:
    factors = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    return product(lambda *factors: torch.einsum(equation, *factors), *factors)


def _accumulated(
    op: Any, multiply: Any, names: tuple[str, str], *aliases: Any, inplace: tuple[Any, ...]
) -> None:
    """Register β·input + α·(first · second)."""

    @RULES.freezes(op, *aliases, inplace=inplace, mixes=True)
    def rule(
        input: Tensor, *factors: Tensor, beta: Any = 1, alpha: Any = 1, **named: Tensor
    ) -> Tensor:
        first, second = (*factors, *(named[name] for name in names[len(factors) :]))
        return beta * input + alpha * product(multiply, first, second)


def _batch_sum(first: Tensor, second: Tensor) -> Tensor:
    return torch.bmm(first, second).sum(0)


_MATRICES, _BATCHES = ("mat1", "mat2"), ("batch1", "batch2")  # the op's own names
_accumulated(torch.addmm, torch.mm, _MATRICES, Tensor.addmm, inplace=(Tensor.addmm_,))
_accumulated(torch.baddbmm, torch.bmm, _BATCHES, Tensor.baddbmm, inplace=(Tensor.baddbmm_,))
_accumulated(
    *(torch.addmv, torch.mv, ("mat", "vec"), Tensor.addmv),
    inplace=(Tensor.addmv_, torch.addmv_),
)
_accumulated(torch.addr, torch.outer, ("vec1", "vec2"), Tensor.addr, inplace=(Tensor.addr_,))
_accumulated(torch.addbmm, _batch_sum, _BATCHES, Tensor.addbmm, inplace=(Tensor.addbmm_,))


@RULES.freezes(torch.addcmul, Tensor.addcmul, inplace=(Tensor.addcmul_,))
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    return input + value * product(torch.mul, tensor1, tensor2)


@RULES.freezes(torch.addcdiv, Tensor.addcdiv, inplace=(Tensor.addcdiv_,))
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    return input + value * div(tensor1, tensor2)


@RULES.freezes(torch.lerp, Tensor.lerp, inplace=(Tensor.lerp_,))
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    if hold(lambda: is_active(weight) and (is_active(input) or is_active(end))):
        return input + split(torch.mul, end - input, weight, flowing=[0, 1])
    return torch.lerp(input, end, weight)


def _rank_of_quotient(input: Any, other: Any, **rounding: Any) -> int | None:
    """2 for 1/b, – for a/b."""
    return 2 if is_active(other) and not is_active(input) else None


@RULES.freezes(
    *(torch.div, Tensor.div, torch.divide, Tensor.divide),
    *(torch.true_divide, Tensor.true_divide, Tensor.__truediv__, Tensor.__div__),
    inplace=(Tensor.div_, Tensor.divide_, Tensor.true_divide_, Tensor.__itruediv__),
    rank=_rank_of_quotient,
    is_elementwise=True,
)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """a/b, an active denominator held unless it is the only active one or a gate ties."""
    if rounding_mode is not None:
        return hold(torch.div, input, other, rounding_mode=rounding_mode)
    treatment = hold(lambda: _quotient_kind(input, other))
    if treatment == "numerator":
        return torch.div(input, other)
    if treatment == "denominator":
        return tangent(torch.div, input, other)
    if treatment == "held":
        return torch.div(input, hold(other))
    inverse = tangent(torch.reciprocal, other)
    return split(torch.mul, input, inverse, flowing=[0, 1])


def _quotient_kind(input: Any, other: Any) -> str:
    """A denominator counts as a gate of rank 2, for it enters as 1/b."""
    if not is_active(other):
        return "numerator"
    if not is_active(input):
        return "denominator"
    return "tie" if gate_rank(input) == 2 else "held"


@RULES.freezes(torch.prod, Tensor.prod)
def prod(input: Tensor, *dims: Any, **options: Any) -> Tensor:
    """z1 · … · zn, shared evenly between its n factors."""
    count = input.numel() // max(torch.prod(input.detach(), *dims, **options).numel(), 1)
    return linearized(torch.prod, (input, *dims), options, [0], share=1 / max(count, 1))


@RULES.freezes(torch.cumprod, Tensor.cumprod, inplace=(Tensor.cumprod_,))
def cumprod(input: Tensor, dim: int, **options: Any) -> Tensor:
    """z1 · … · zk for each k, shared evenly between its k factors."""
    value = hold(torch.cumprod, input, dim, **options)
    counts = torch.ones_like(value).cumsum(dim)
    return value + (tangent(torch.cumprod, input, dim, **options) - value) / counts


@RULES.decomposes(F.cosine_similarity)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1/‖x1‖ · x2/‖x2‖, with norms of at least ε."""
    first, second = (
        x / torch.linalg.vector_norm(x, dim=dim, keepdim=True).clamp_min(eps)
        for x in torch.broadcast_tensors(x1, x2)
    )
    return (first * second).sum(dim)


@RULES.freezes(Tensor.__rdiv__, rank=2)
def rdiv(input: Tensor, other: Any) -> Tensor:
    return div(other, input)


@RULES.decomposes(torch._C._nn.glu, F.glu)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    value, gate = input.chunk(2, dim)
    return value * gate.sigmoid()


@RULES.freezes(*spellings("ldexp"), inplace=writings("ldexp"))
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input · 2**other, the power held unless it alone is active."""
    if hold(lambda: is_active(input)):
        return torch.ldexp(input, hold(other))
    return tangent(torch.ldexp, input, other)
