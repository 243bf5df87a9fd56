"""``workspace``: the memory that a convolution takes for itself while it runs on a CPU.

The kernels copy weights, the larger of what comes in and goes out, and what has to be filled
up, into a layout of their own with channels in blocks of sixteen (oneDNN's nChw16c). A backward
pass also copies the input that it is given for its shape, where that is an expanded number. No
op announces these copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.arguments import tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["workspace"]

_BLOCK = 16
_BACKWARD = torch.ops.aten.convolution_backward.default
_CONVOLUTIONS = (torch.ops.aten.convolution.default, _BACKWARD)


def workspace(op: Callable[..., Any], args: tuple[Any, ...]) -> int:
    """About the bytes that the op holds besides its arguments and results."""
    if op not in _CONVOLUTIONS:
        return 0
    *values, weight = [each for each in tensors(args[:3]) if each.dim() > 2]
    if weight.device.type != "cpu" or weight[0, 0].numel() == 1:
        return 0
    is_expanded = op is _BACKWARD and 0 in values[-1].stride()
    copied = _bytes(values[-1]) if is_expanded else 0
    filled_up = sum(_blocked(value) for value in values if value.shape[1] % _BLOCK)
    return _blocked(weight) + max(map(_blocked, values), default=0) + filled_up + copied


def _bytes(tensor: Tensor) -> int:
    return tensor.element_size() * tensor.numel()


def _blocked(tensor: Tensor) -> int:
    """Its bytes with the channels, the second dimension, in whole blocks."""
    channels = tensor.shape[1]
    padded = -(-channels // _BLOCK) * _BLOCK
    return _bytes(tensor) // max(channels, 1) * padded
