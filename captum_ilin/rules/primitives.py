"""What rules are made of: secant, product, split. (``hold`` and ``tangent`` are the others.)

secant   φ(z) = [φ(z0)/z0] · z, slope φ'(0) at z0 = 0: no intercept.
product  the factor with the highest gate rank is held; a tie is split evenly.
split    ½·a·b0 + ½·a0·b, and 1/n each for n factors.
evenly   the same of an op that is no product to look at, such as a/b or A⁻¹B.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import gate_rank, is_active
from captum_ilin.holding import hold, is_taped
from captum_ilin.tangent import active_positions, linearized

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    *("evenly", "product", "quotient", "released", "secant", "split"),
    *("with_slope", "with_slope_in_place"),
]


def secant(
    op: Callable[..., Tensor], input: Tensor, *args: Any, at_zero: float, **kwargs: Any
) -> Tensor:
    """The chord through the origin of a pointwise ``op`` with op(0) = 0.

    Args:
        op: the function φ.
        input: z, any shape.
        at_zero: φ'(0), the slope used where z is exactly 0.
        args, kwargs: further arguments of ``op``.

    Returns:
        φ(z), shaped like z; its slope is φ(z0)/z0, its intercept 0.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES, linearize
    >>> rules = DEFAULT_RULES | {torch.exp: lambda z: 1 + secant(torch.expm1, z, at_zero=1.0)}
    >>> x = torch.tensor([[0.0, 2.0]])
    >>> affine_map = linearize(lambda x: torch.exp(x).sum(1), x, rules=rules)
    >>> affine_map.weight()
    tensor([[1.0000, 3.1945]])
    >>> affine_map.bias()
    tensor([2.])
    """
    if is_taped():
        return input * hold(quotient, op, input, *args, at_zero=at_zero, **kwargs)
    point = input.detach()
    value = op(point, *args, **kwargs)
    return with_slope(input, value, _slope(value / point, at_zero))


def with_slope(input: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """``value``, as a function of ``input`` with the held ``slope`` of each element."""
    result: Tensor = _Secant.apply(input, [value], slope)
    return result


class _Secant(torch.autograd.Function):
    """The op's own value, which needs no product forward; backward u · slope."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, value: list[Tensor], slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value[0]  # in a list, so that it is no argument: those may not be written to

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        (slope,) = ctx.saved_tensors
        return vector * slope.conj(), None, None


def with_slope_in_place(input: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """``input``, overwritten with ``value``, as a function of what it was."""
    result: Tensor = _SecantInPlace.apply(input, value, slope)
    return result


class _SecantInPlace(torch.autograd.Function):
    """The same in the memory of the input, which a write by ``copy_`` gives two gradients."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.mark_dirty(input)
        ctx.save_for_backward(slope)
        return input if value.data_ptr() == input.data_ptr() else input.copy_(value)

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        return _Secant.backward(ctx, vector)


def quotient(
    op: Callable[..., Tensor], input: Tensor, *args: Any, at_zero: float, **kwargs: Any
) -> Tensor:
    """φ(z)/z, and φ'(0) where z is exactly 0."""
    return _slope(op(input, *args, **kwargs).div_(input), at_zero)


def _slope(ratio: Tensor, at_zero: float) -> Tensor:
    """``ratio``, with φ'(0) for 0/0, which for a finite z is the only NaN."""
    return ratio.nan_to_num_(nan=at_zero, posinf=inf, neginf=-inf)


def product(op: Callable[..., Tensor], *factors: Any) -> Tensor:
    """A multilinear ``op`` of ``factors``: gates held, a tie split evenly.

    Of the active factors those with the lowest gate rank flow; the others are held.

    Args:
        op: linear in each of its arguments.
        factors: what is multiplied; any of them may be constant.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES, linearize
    >>> rules = DEFAULT_RULES | {torch.mul: lambda a, b: product(torch.mul, a, b)}
    >>> x = torch.tensor([[2.0, 3.0]])
    >>> linearize(lambda x: torch.mul(x[:, :1], x[:, 1:]), x, rules=rules).weight()
    tensor([[1.5000, 1.0000]])
    >>> linearize(lambda x: torch.mul(x[:, :1], x[:, 1:].sigmoid()), x, rules=rules).weight()
    tensor([[0.9526, 0.0000]])
    """
    factors, flowing = released(factors)
    return op(*factors) if len(flowing) <= 1 else split(op, *factors, flowing=flowing)


def released(factors: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """``factors``, held but for the active ones of the lowest rank, and the places of those."""
    flowing = hold(lambda: _flowing(factors))
    factors = tuple(
        hold(factor) if isinstance(factor, Tensor) and position not in flowing else factor
        for position, factor in enumerate(factors)
    )
    return factors, flowing


def split(op: Callable[..., Tensor], *factors: Any, flowing: list[int]) -> Tensor:
    """A multilinear ``op``, shared evenly between the factors that flow."""
    positions = [
        sum(isinstance(factor, Tensor) for factor in factors[:position]) for position in flowing
    ]
    return linearized(op, factors, {}, positions, share=1 / len(flowing))


def evenly(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """1/n of the tangent in each of the n active arguments of ``op``."""
    active = hold(lambda: active_positions(args, kwargs))
    return linearized(op, args, kwargs, active, share=1 / max(len(active), 1))


def _flowing(factors: tuple[Any, ...]) -> list[int]:
    ranks = {i: gate_rank(factor) for i, factor in enumerate(factors) if is_active(factor)}
    lowest = min(ranks.values(), default=0)
    return [position for position, rank in ranks.items() if rank == lowest]
