"""Hooks on what autograd saves for the backward pass, as activation checkpointing sets them.

A checkpoint drops what is saved and computes it again in the backward pass, from a run that is
not frozen. Inside a frozen run everything is saved as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import saved_tensors_hooks

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

__all__ = ["has_hooks", "is_checkpointing", "saving_as_it_is"]

# Only PyTorch's own bindings tell which hooks are set.
_innermost = torch._C._autograd._top_saved_tensors_default_hooks


def has_hooks() -> bool:
    """Whether something sees, and may replace, what is saved now."""
    return _innermost(True) is not None


def is_checkpointing() -> bool:
    """Whether what is saved now is dropped by torch.utils.checkpoint."""
    hooks = _innermost(True)
    return hooks is not None and hooks[0].__module__ == "torch.utils.checkpoint"


def saving_as_it_is() -> AbstractContextManager[Any]:
    """Inside, whatever hooks are set outside, tensors are saved themselves."""
    return saved_tensors_hooks(_as_it_is, _as_it_is)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
