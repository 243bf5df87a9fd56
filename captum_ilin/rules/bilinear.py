"""``bilinear``: a product of two active factors between two points.

Δ(u·v) = v̄·Δu + ū·Δv with the factors midway, ū = ½(u + u'), v̄ = ½(v + v'): what ``midway``
does for any polynomial of degree two, here without a second product forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.counterpart import counterpart
from captum_ilin.holding import hold, is_replaying, is_taped
from captum_ilin.rules.between import midway

if TYPE_CHECKING:
    from collections.abc import Callable

    # of a vector shaped like the product, and of both factors midway
    Pull = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

__all__ = ["multiplied", "multiplied_matrices"]


def multiplied(op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """u ∘ v, broadcast."""
    return _bilinear(op, _pull_of_product, args, kwargs)


def multiplied_matrices(op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """u v, of matrices, batches of them, and vectors."""
    return _bilinear(op, _pull_of_matmul, args, kwargs)


def _pull_of_product(vector: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return (
        (vector * second).sum_to_size(first.shape),
        (vector * first).sum_to_size(second.shape),
    )


def _pull_of_matmul(vector: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = first, second
    if first.dim() == 1:
        rows, vector = rows.unsqueeze(0), vector.unsqueeze(-1 if second.dim() == 1 else -2)
    if second.dim() == 1:
        columns, vector = columns.unsqueeze(-1), vector.unsqueeze(-1)
    return (
        (vector @ columns.mT).sum_to_size(rows.shape).reshape(first.shape),
        (rows.mT @ vector).sum_to_size(columns.shape).reshape(second.shape),
    )


def _bilinear(
    op: Callable[..., Tensor], pull: Pull, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Tensor:
    kind = hold(lambda: _kind_of(args, kwargs))
    if kind == "polynomial":
        return midway(op, *args, **kwargs)
    first, second = args
    if kind == "affine":
        return op(first, second)
    if is_replaying():
        there, middles = hold(None)
        constant = op(*there) - _moved(op, there[0], there[1], middles)
        return _moved(op, first, second, middles) + constant
    there = counterpart().args
    middles = [torch.lerp(a, b.detach(), 0.5) for a, b in zip(there, args, strict=True)]
    with torch.no_grad():
        value = op(first.detach(), second.detach())
    if is_taped():
        hold((there, middles))
    middles = [middle.to(value.dtype) for middle in middles]  # as autocast gives them to op
    return _Bilinear.apply(first, second, [value], middles, pull)


def _kind_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """What is named or complex is left to ``midway``."""
    if len(args) != 2 or kwargs or any(_is_complex(factor) for factor in args):
        return "polynomial"
    return "product" if all(map(is_active, args)) else "affine"


def _is_complex(factor: Any) -> bool:
    return isinstance(factor, Tensor) and factor.is_complex()


def _moved(
    op: Callable[..., Tensor], first: Tensor, second: Tensor, middles: list[Tensor]
) -> Tensor:
    return op(first, middles[1]) + op(middles[0], second)


class _Bilinear(torch.autograd.Function):
    """The product's value; backward the products with the factors midway."""

    @staticmethod
    def forward(
        ctx: Any,
        first: Tensor,
        second: Tensor,
        value: list[Tensor],
        middles: list[Tensor],
        pull: Pull,
    ) -> Tensor:
        ctx.save_for_backward(*middles)
        ctx.pull = pull
        return value[0]

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        return *ctx.pull(vector, *ctx.saved_tensors), None, None, None
