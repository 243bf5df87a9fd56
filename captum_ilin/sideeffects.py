"""What a forward pass may write to a model that is in training mode, put back afterwards."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["buffers_kept", "modules_of"]


def modules_of(forward_func: Any) -> list[nn.Module]:
    """The modules a forward function is known to use, itself or in what it closes over."""
    if isinstance(forward_func, nn.Module):
        return [forward_func]
    if isinstance(forward_func, functools.partial):
        held = (forward_func.func, *forward_func.args, *forward_func.keywords.values())
        return [module for value in held for module in modules_of(value)]
    if inspect.ismethod(forward_func):
        return [m for m in (forward_func.__self__,) if isinstance(m, nn.Module)]
    if inspect.isfunction(forward_func):
        variables = inspect.getclosurevars(forward_func)
        held = (*variables.nonlocals.values(), *variables.globals.values())
        return [value for value in held if isinstance(value, nn.Module)]
    return []


@contextmanager
def buffers_kept(forward_func: Any) -> Iterator[None]:
    """Restore the buffers of modules in training mode (running statistics, counters)."""
    kept = [
        (buffer, buffer.clone())
        for root in modules_of(forward_func)
        for module in root.modules()
        if module.training
        for buffer in module._buffers.values()
        if buffer is not None
    ]
    try:
        yield
    finally:
        # Batch norm writes its statistics without counting a version, and so does .data:
        # what a ledger keeps stays readable.
        for buffer, before in kept:
            if not torch.equal(buffer, before):
                buffer.data.copy_(before)
