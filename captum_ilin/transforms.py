"""Transforms of ``torch.func``: vmap, grad, vjp, jvp and what is made of them.

Inside one, values are wrapped. Marks are on the autograd nodes of what is wrapped, and do not
reach the wrapped value, so an op on an active one is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CANNOT_FOLLOW", "is_transforming", "unwrapped"]

CANNOT_FOLLOW = (
    "it is called inside a transform of torch.func (vmap, grad, vjp, jvp, ...), whose wrapped "
    "values cannot be followed; write the batch dimension out, as plain ops"
)
_functorch = torch._C._functorch  # PyTorch has no public question about transforms


def is_transforming() -> bool:
    """Whether a transform is under way."""
    return _functorch.maybe_current_level() is not None


def unwrapped(value: Tensor) -> Tensor:
    """The tensor inside all wrappers."""
    while _functorch.is_functorch_wrapped_tensor(value):
        value = _functorch.get_unwrapped(value)
    return value
