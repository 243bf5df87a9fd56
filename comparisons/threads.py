"""``threads_set``: PyTorch's number of threads for a block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["threads_set"]


@contextmanager
def threads_set(count: int) -> Iterator[None]:
    """So many threads until the block ends, and then as many as before."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
