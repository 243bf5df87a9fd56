"""``Allocation``: how many bytes of tensors a piece of work holds at once.

Counted from the results of the ops that run inside. What a convolution takes for itself while
it runs is estimated; what other kernels take, and sparse tensors, are not seen.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ilin.arguments import tensors
from captum_ilin.workspace import workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import UntypedStorage

__all__ = ["Allocation"]


class Allocation(TorchDispatchMode):
    """Count the memory of the tensors made inside.

    Attributes:
        peak: the most bytes that were held at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._held = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = {storage._cdata for storage in _storages((args, kwargs or {}))}
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage._cdata not in given and storage._cdata not in self._known:
                self._note(storage)
        self.peak = max(self.peak, self._held + workspace(func, args))
        return result

    def _note(self, storage: UntypedStorage) -> None:
        size, key = storage.nbytes(), storage._cdata
        self._held += size
        self._known.add(key)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._held -= size
        self._known.discard(key)


def _storages(values: Any) -> list[UntypedStorage]:
    return [
        tensor.untyped_storage() for tensor in tensors(values) if tensor.layout is torch.strided
    ]
