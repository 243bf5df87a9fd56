"""Writes that autograd does not see: under no_grad, through ``.data`` or a detached alias.

Such a write changes an active value and leaves its slope as it was. What is written that way
is remembered, and an active value that lies in that memory is refused when it is used next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from captum_ilin.arguments import tensors
from captum_ilin.errors import RefusedOpError, refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from captum_ilin.location import Site

__all__ = ["HiddenWrites"]


class HiddenWrites:
    """The memory of active values that was written to where autograd does not look.

    Attributes:
        written: memory → where it was last written to that way.
    """

    def __init__(self) -> None:
        self._reachable: set[StorageWeakRef] = set()
        self.written: dict[StorageWeakRef, Site] = {}

    def note_aliases(self, results: Any, source: Any) -> None:
        """Remember constants among ``results`` that share the memory of ``source``."""
        memory = _memory(source)
        if memory is None:
            return
        if any(v.grad_fn is None and _memory(v) == memory for v in tensors(results)):
            self._reachable.add(memory)

    def is_reachable(self, target: Any) -> bool:
        """Whether the constant ``target`` may share the memory of an active value."""
        return bool(self._reachable) and _memory(target) in self._reachable

    def note_write(self, target: Tensor, site: Site) -> None:
        """Remember that ``target`` was written to."""
        memory = _memory(target)
        if memory is not None:
            self.written[memory] = site

    def check(self, active: Iterable[Tensor]) -> None:
        """Raise if one of the ``active`` values lies in such memory."""
        for value in active:
            memory = _memory(value)
            if memory is not None and memory in self.written:
                raise RefusedOpError(refused(self.written[memory], _REASON))


_REASON = (
    "it overwrites a value that depends on the inputs where autograd does not look (under "
    "no_grad, through .data, or through detach()), so that its slope stays what it was; write "
    "to a clone instead"
)


def _memory(tensor: Any) -> StorageWeakRef | None:
    """What two tensors that share memory have in common; None where there is none to share."""
    if not isinstance(tensor, Tensor):
        return None
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):  # sparse and functional tensors
        return None
