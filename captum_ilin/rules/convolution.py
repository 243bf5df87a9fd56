"""Convolutions: linear in their input, and bilinear where the kernel is active too.

With the kernel constant the slope of y = K ∗ z + c is K ∗, whose transpose is one convolution
too. Both products are spelled out: PyTorch's second derivative of a convolution also computes
the kernel's, group by group.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.layers import is_active_factor
from captum_ilin.rules.primitives import product
from captum_ilin.ruletable import RuleTable
from captum_ilin.slope import Slope, sloped

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()
Sizes = tuple[int, ...]


class Geometry(NamedTuple):
    """How the kernel moves, in the order of ``torch.convolution``."""

    stride: Sizes
    padding: Sizes
    dilation: Sizes
    transposed: bool
    output_padding: Sizes
    groups: int


def _convolutions(read: Callable[..., Geometry | None], *ops: Op) -> None:
    """Register ``ops``; ``read`` tells their geometry from the kernel and their options."""
    for op in ops:
        register = RULES.freezes(op, mixes=True, alone=partial(_alone, op, read))
        register(partial(_convolution, op, read))


def _convolution(
    op: Op,
    read: Callable[..., Geometry | None],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *options: Any,
    **named: Any,
) -> Tensor:
    if is_active_factor(weight):
        result = product(lambda i, w: op(i, w, None, *options, **named), input, weight)
        return result if bias is None else result + bias.view(-1, *[1] * (weight.dim() - 2))
    if is_active_factor(bias):
        return op(input, weight, bias, *options, **named)
    return _alone(op, read, input, weight, bias, *options, **named)


def _alone(
    op: Op,
    read: Callable[..., Geometry | None],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *options: Any,
    **named: Any,
) -> Tensor:
    """The op's own value, its slope spelled out."""
    geometry = read(weight, *options, **named)
    if geometry is None or input.is_complex():
        return op(input, weight, bias, *options, **named)
    if input.dim() == weight.dim() - 1:  # without a batch
        return _alone(op, read, input[None], weight, bias, *options, **named)[0]

    def run(input: Tensor) -> tuple[Tensor, Slope]:
        value = op(input, weight, bias, *options, **named)
        return value, _slope(input, weight.to(value.dtype), geometry)

    return sloped(run, input)


def _plain(
    weight: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Geometry | None:
    """Of ``conv2d`` and its like; None where the padding is not the same on both sides."""
    dims = weight.dim() - 2
    stride, dilation = _each(stride, dims), _each(dilation, dims)
    if padding == "valid":
        padding = 0
    if padding == "same":
        reach = [d * (size - 1) for d, size in zip(dilation, weight.shape[2:], strict=True)]
        padding = "uneven" if any(r % 2 for r in reach) else tuple(r // 2 for r in reach)
    if isinstance(padding, str):
        return None
    return Geometry(stride, _each(padding, dims), dilation, False, (0,) * dims, groups)


def _transposed(
    weight: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Geometry:
    """Of ``conv_transpose2d`` and its like."""
    stride, padding, output_padding, dilation = (
        _each(sizes, weight.dim() - 2) for sizes in (stride, padding, output_padding, dilation)
    )
    return Geometry(stride, padding, dilation, True, output_padding, groups)


def _general(
    weight: Tensor,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Geometry:
    """Of ``torch.convolution``."""
    stride, padding, output_padding, dilation = (
        _each(sizes, weight.dim() - 2) for sizes in (stride, padding, output_padding, dilation)
    )
    return Geometry(stride, padding, dilation, transposed, output_padding, groups)


def _each(sizes: Any, dims: int) -> Sizes:
    """One size for each dimension, of which PyTorch takes one for all."""
    sizes = (sizes,) if hasattr(sizes, "__index__") else tuple(sizes)
    return sizes * dims if len(sizes) == 1 else sizes


def _slope(input: Tensor, kernel: Tensor, geometry: Geometry) -> Slope:
    """K ∗ and its transpose, in the dtype of the kernel, which autocast may have chosen."""
    layout = input.stride() if _is_channels_last(input) else None
    return Slope(
        partial(_pushed, geometry=geometry),
        partial(
            _pulled, geometry=geometry, shape=input.shape, layout=layout, dtype=input.dtype
        ),
        (kernel,),
    )


def _pushed(step: Tensor, kernel: Tensor, *, geometry: Geometry) -> Tensor:
    return torch.convolution(step.to(kernel.dtype), kernel, None, *geometry)


def _pulled(
    vector: Tensor,
    kernel: Tensor,
    *,
    geometry: Geometry,
    shape: torch.Size,
    layout: Sizes | None,
    dtype: torch.dtype,
) -> Tensor:
    """Kᵀ ∗ u; of the input PyTorch reads its shape alone, and how it lies in memory."""
    if layout is None:
        like = kernel.new_empty(shape)
    else:
        like = kernel.new_empty_strided(shape, layout)
    pulled, _, _ = torch.ops.aten.convolution_backward(
        vector, like, kernel, None, *geometry, (True, False, False)
    )
    return pulled.to(dtype)


def _is_channels_last(input: Tensor) -> bool:
    return not input.is_contiguous() and input.movedim(1, -1).is_contiguous()


_convolutions(_plain, F.conv1d, F.conv2d, F.conv3d)
_convolutions(_transposed, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_convolutions(_general, torch.convolution)


@RULES.freezes(torch.conv_tbc, affine_in_first=True, mixes=True)
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    none = torch.zeros_like(bias)
    return product(lambda i, w: torch.conv_tbc(i, w, none, pad), input, weight) + bias
