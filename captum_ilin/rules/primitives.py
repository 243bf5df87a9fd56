"""What rules are made of: secant, product, split. (``hold`` and ``tangent`` are the others.)

secant   φ(z) = [φ(z0)/z0] · z, slope φ'(0) at z0 = 0: no intercept.
product  the factor with the highest gate rank is held; a tie is split evenly.
split    ½·a·b0 + ½·a0·b, and 1/n each for n factors.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_ilin.activity import gate_rank, is_active
from captum_ilin.holding import hold
from captum_ilin.tangent import linearized

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["product", "quotient", "secant", "split"]


def secant(
    op: Callable[..., Tensor], input: Tensor, *args: Any, at_zero: float, **kwargs: Any
) -> Tensor:
    """The chord through the origin of a pointwise ``op`` with op(0) = 0.

    Args:
        op: the function φ.
        input: z, any shape.
        at_zero: φ'(0), the slope used where z is exactly 0.
        args, kwargs: further arguments of ``op``.
    """
    return input * hold(quotient, op, input, *args, at_zero=at_zero, **kwargs)


def quotient(
    op: Callable[..., Tensor], input: Tensor, *args: Any, at_zero: float, **kwargs: Any
) -> Tensor:
    """φ(z)/z, and φ'(0) where z is exactly 0: for a finite z, 0/0 is the only NaN."""
    slope = op(input, *args, **kwargs).div_(input)
    return slope.nan_to_num_(nan=at_zero, posinf=inf, neginf=-inf)


def product(op: Callable[..., Tensor], *factors: Any) -> Tensor:
    """A multilinear ``op`` of ``factors``: gates held, a tie split evenly.

    Of the active factors those with the lowest gate rank flow; the others are held.
    """
    flowing = hold(lambda: _flowing(factors))
    factors = tuple(
        hold(factor) if isinstance(factor, Tensor) and position not in flowing else factor
        for position, factor in enumerate(factors)
    )
    return op(*factors) if len(flowing) <= 1 else split(op, *factors, flowing=flowing)


def split(op: Callable[..., Tensor], *factors: Any, flowing: list[int]) -> Tensor:
    """A multilinear ``op``, shared evenly between the factors that flow."""
    positions = [
        sum(isinstance(factor, Tensor) for factor in factors[:position]) for position in flowing
    ]
    return linearized(op, factors, {}, positions, share=1 / len(flowing))


def _flowing(factors: tuple[Any, ...]) -> list[int]:
    ranks = {i: gate_rank(factor) for i, factor in enumerate(factors) if is_active(factor)}
    lowest = min(ranks.values(), default=0)
    return [position for position, rank in ranks.items() if rank == lowest]
