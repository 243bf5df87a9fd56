"""Ops of PyTorch's dispatcher, ``torch.ops.<namespace>.<name>``, and their other identities.

One such op has up to three: what ``torch.library.custom_op`` returned, the packet
``torch.ops.mine.op``, and the overload ``torch.ops.mine.op.default``, which is what a run
sees. PyTorch's own (``aten``) are what Python's functions call, with the same arguments in
the same order; exported programs call them directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch._ops import OpOverload, OpOverloadPacket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "dispatched_name",
    "first_name",
    "identity",
    "is_dispatched",
    "spelled",
    "writes",
    "writes_unseen",
]

_FAMILIES = {"special_": torch.special, "linalg_": torch.linalg, "fft_": torch.fft}


def is_dispatched(op: Any) -> bool:
    """Whether ``op`` is one of the dispatcher's, in any of its identities."""
    return isinstance(op, (OpOverload, OpOverloadPacket, CustomOpDef))


def identity(op: Any) -> Any:
    """The overload that a custom op, or a packet of one overload, stands for; else ``op``."""
    if isinstance(op, CustomOpDef):
        return op._opoverload
    if isinstance(op, OpOverloadPacket):
        names = [name for name in op.overloads() if not name.endswith("out")]
        return getattr(op, names[0]) if len(names) == 1 else op
    return op


def writes(op: Any) -> bool:
    """Whether a dispatcher's op writes into one of its arguments."""
    op = identity(op)
    return isinstance(op, OpOverload) and op._schema.is_mutable


def writes_unseen(op: Any) -> bool:
    """The same of an op whose writes autograd does not follow; PyTorch's own end in ``_``."""
    op = identity(op)
    return writes(op) and not (op.namespace == "aten" and op._opname.endswith("_"))


def first_name(op: Any) -> str | None:
    """What the first argument of a dispatcher's op is called; None for other ops."""
    op = identity(op)
    arguments = op._schema.arguments if isinstance(op, OpOverload) else ()
    return arguments[0].name if arguments else None


def spelled(op: Any) -> Iterator[Callable[..., Any]]:
    """The Python functions that call the overload ``op``, an ``aten`` op."""
    if not isinstance(op, OpOverload) or op.namespace != "aten" or "out" in op._overloadname:
        return
    name = op._opname
    owners = [(torch, name), (torch._C._nn, name), (Tensor, name)]
    owners += [(family, name.removeprefix(prefix)) for prefix, family in _FAMILIES.items()]
    for owner, attribute in owners:
        spelling = getattr(owner, attribute, None)
        if callable(spelling):
            yield spelling


def dispatched_name(op: Any) -> str:
    """The name under which a rule for ``op`` is registered; PyTorch's own by name alone."""
    if isinstance(op, OpOverloadPacket):
        namespace, name = op._qualified_op_name.split("::")
        return name if namespace == "aten" else f"torch.ops.{namespace}.{name}"
    op = identity(op)
    if op.namespace == "aten":
        return str(op._opname)
    several = identity(op.overloadpacket) is not op
    overload = f".{op._overloadname}" if several else ""
    return f"torch.ops.{op.namespace}.{op._opname}{overload}"
