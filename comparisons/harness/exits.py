"""What ``python -m comparisons run`` exits with."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit"]


class Exit(IntEnum):
    """The exit codes."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    OUT_OF_TIME = 3
    INTERRUPTED = 130
