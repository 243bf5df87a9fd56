"""Writes that autograd does not see: under no_grad, through ``.data`` or a detached alias.

Such a write changes an active value and leaves its slope as it was. What is written that way
is remembered, and an active value that lies in that memory is refused when it is used next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ilin.arguments import tensors
from captum_ilin.errors import RefusedOpError, refused
from captum_ilin.memory import memory_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor
    from torch.multiprocessing.reductions import StorageWeakRef

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
        memory = memory_of(source)
        if memory is None:
            return
        if any(v.grad_fn is None and memory_of(v) == memory for v in tensors(results)):
            self._reachable.add(memory)

    def is_reachable(self, target: Any) -> bool:
        """Whether the constant ``target`` may share the memory of an active value."""
        return bool(self._reachable) and memory_of(target) in self._reachable

    def note_write(self, target: Tensor, site: Site) -> None:
        """Remember that ``target`` was written to."""
        memory = memory_of(target)
        if memory is not None:
            self.written[memory] = site

    def check(self, active: Iterable[Tensor]) -> None:
        """Raise if one of the ``active`` values lies in such memory."""
        for value in active:
            memory = memory_of(value)
            if memory is not None and memory in self.written:
                raise RefusedOpError(refused(self.written[memory], _REASON))


_REASON = (
    "it overwrites a value that depends on the inputs where autograd does not look (under "
    "no_grad, through .data, or through detach()), so that its slope stays what it was; write "
    "to a clone instead"
)
