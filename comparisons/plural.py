"""Counts in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what it counts; ``several`` is ``one`` with an s unless told.

    >>> counted(1, "cell"), counted(1200, "cell")
    ('1 cell', '1,200 cells')
    >>> counted(0, "cell is left", "cells are left")
    '0 cells are left'
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
