"""``Passage``: the ways along which derivatives pass through one recorded graph.

Closing a value leaves the ways that do not lead through it: what passes it by. Derivatives
with respect to the value itself still arrive.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

__all__ = ["Passage"]


class Passage:
    """The ways through one graph. Threads pass in turn, since one may close some of them."""

    def __init__(self) -> None:
        self._lock = RLock()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Inside, this thread alone takes derivatives, along every way."""
        with self._lock:
            yield

    @contextmanager
    def closed(self, parts: Iterable[Tensor]) -> Iterator[None]:
        """Inside, derivatives arrive at ``parts`` and go no further; leaves have none below."""
        nodes = [part.grad_fn for part in parts if part.grad_fn is not None]
        with self._lock:
            handles = [node.register_prehook(_nothing) for node in nodes]
            try:
                yield
            finally:
                for handle in handles:
                    handle.remove()


def _nothing(gradients: tuple[Tensor | None, ...]) -> tuple[Any, ...]:
    return tuple(None if g is None else torch.zeros_like(g) for g in gradients)
