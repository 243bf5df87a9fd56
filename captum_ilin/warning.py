"""How the package warns: at the caller's line, one kind of message each."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from captum_ilin.activity import first_time

if TYPE_CHECKING:
    from captum_ilin.errors import IlinWarning

__all__ = ["warn"]

_OURS = (str(Path(__file__).parent),)
_PASSED_THROUGH = ("torch", "captum", "contextlib")


def warn(category: type[IlinWarning], message: str) -> None:
    """Warn once per frozen run, at the first line outside this package, torch and captum."""
    if not first_time(message):
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename, frame.f_globals):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_inside(filename: str, names: dict[str, object]) -> bool:
    package = str(names.get("__name__", "")).partition(".")[0]
    return filename.startswith(_OURS) or package in _PASSED_THROUGH
