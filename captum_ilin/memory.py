"""``memory_of``: what tensors that share memory have in common."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

__all__ = ["held_memory_of", "memory_of"]


def memory_of(tensor: Any) -> StorageWeakRef | None:
    """What two tensors that share memory have in common; None where there is none to share."""
    if not isinstance(tensor, Tensor):
        return None
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):  # sparse and functional tensors
        return None


def held_memory_of(tensor: Tensor) -> int | None:
    """The same as a number, which is found sooner and is right while the memory is held."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse and functional tensors
        return None
