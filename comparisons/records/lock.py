"""A file that one process at a time holds; killed however it may be, it lets go."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["held"]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file, which is made if it is not there, until the block ends.

    Raises:
        BlockingIOError: another holds it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(file)
        yield
    finally:
        os.close(file)


if sys.platform == "win32":

    def _lock(file: int) -> None:
        """Windows has no lock that lets others append to the file meanwhile."""

else:

    def _lock(file: int) -> None:
        import fcntl

        # Not lockf: a process loses that lock when it closes the file anywhere after reading.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
