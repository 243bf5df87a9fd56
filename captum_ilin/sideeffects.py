"""What a forward pass may write to a model that is in training mode, put back afterwards."""

from __future__ import annotations

import functools
import inspect
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["buffers_kept", "modules_of"]


def modules_of(forward_func: Any) -> list[nn.Module]:
    """The modules a forward function is known to use, itself or in what its code names.

    Functions, partials and methods that it names are followed in turn, and so are the
    attributes of a method's or callable object's own instance.
    """
    found = [forward_func]
    for value in found:  # which grows
        for item in _named_by(value):
            if all(item is not known for known in found):
                found.append(item)
    return [value for value in found if isinstance(value, nn.Module)]


def _named_by(value: Any) -> list[Any]:
    """The modules, functions, partials and methods that a callable's code names."""
    if isinstance(value, nn.Module) or not callable(value):
        return []
    if isinstance(value, functools.partial):
        named = [value.func, *value.args, *value.keywords.values()]
    elif inspect.ismethod(value):
        named = [value.__self__, *_attributes(value.__self__, value.__func__)]
    elif inspect.isfunction(value):
        variables = inspect.getclosurevars(value)
        named = [*variables.nonlocals.values(), *variables.globals.values()]
    else:
        named = _attributes(value, type(value).__call__)
    return [item for item in named if isinstance(item, _FOLLOWED) and not _is_torch(item)]


_FOLLOWED = (nn.Module, functools.partial, types.FunctionType, types.MethodType)


def _attributes(owner: Any, function: Any) -> list[Any]:
    """The attributes of ``owner`` that the code of its method ``function`` names."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    own = getattr(owner, "__dict__", {})
    return [own[name] for name in names if name in own]


def _is_torch(item: Any) -> bool:
    is_function = isinstance(item, types.FunctionType)
    return is_function and str(item.__module__).partition(".")[0] == "torch"


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
