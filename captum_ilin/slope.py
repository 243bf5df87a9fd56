"""``Slope``: the matrix D of one op's affine piece y = D z + c, as its two products.

PyTorch differentiates a backward pass by the derivative of each op's backward, which for some
ops also computes what nobody asked for, such as a convolution's derivative for its kernel.
But u ↦ Dᵀu has the derivative t ↦ D t, and that in turn u ↦ Dᵀu: an op that knows both
products has all its derivatives, in either mode and of any order, at the cost of a product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    Product = Callable[..., Tensor]

__all__ = ["Slope", "sloped"]


class Slope(NamedTuple):
    """D of y = D z + c.

    Attributes:
        push: D t, of a step t shaped like z, and what is held.
        pull: Dᵀu, of a vector u shaped like y, and what is held.
        held: the constant tensors that D is made of; overwriting one of them is an error.
    """

    push: Product
    pull: Product
    held: tuple[Tensor, ...]


def sloped(run: Callable[[Tensor], tuple[Tensor, Slope]], input: Tensor) -> Tensor:
    """The value that ``run`` finds for ``input``, with the slope that it finds."""
    return _Sloped.apply(input, run)


class _Sloped(torch.autograd.Function):
    """y, whose derivatives are products with D."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, run: Callable[..., tuple[Tensor, Slope]]) -> Tensor:
        value, (ctx.push, ctx.pull, held) = run(input)
        ctx.save_for_backward(*held)
        ctx.save_for_forward(*held)
        return value

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        return _product(ctx.pull, ctx.push, vector, ctx.saved_tensors), None

    @staticmethod
    def jvp(ctx: Any, step: Tensor, _: None) -> Tensor:
        return _product(ctx.push, ctx.pull, step, ctx.saved_tensors)


def _product(
    product: Product, transposed: Product, vector: Tensor, held: tuple[Tensor, ...]
) -> Tensor:
    """The product; where its own derivative is not asked for, in plain ops that vmap takes."""
    if not torch.is_grad_enabled():
        return product(vector, *held)
    return _Product.apply(vector, product, transposed, *held)


class _Product(torch.autograd.Function):
    """A product with D or Dᵀ, whose derivative is the product with the other."""

    generate_vmap_rule = True

    @staticmethod
    def forward(vector: Tensor, product: Product, transposed: Product, *held: Tensor) -> Tensor:
        return product(vector, *held)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.product, ctx.transposed, *held = inputs
        ctx.save_for_backward(*held)
        ctx.save_for_forward(*held)

    @staticmethod
    def backward(ctx: Any, step: Tensor) -> tuple[Any, ...]:
        held = ctx.saved_tensors
        return _product(ctx.transposed, ctx.product, step, held), *[None] * (2 + len(held))

    @staticmethod
    def jvp(ctx: Any, step: Tensor, *_: Any) -> Tensor:
        return _product(ctx.product, ctx.transposed, step, ctx.saved_tensors)
