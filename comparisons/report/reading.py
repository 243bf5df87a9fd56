"""The rows and the provenance of a results folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from comparisons.records import read_records

if TYPE_CHECKING:
    from pathlib import Path

    from comparisons.records import Records

__all__ = ["NoRowsError", "provenance_of", "records_of"]


class NoRowsError(ValueError):
    """A folder without rows."""


def records_of(folder: Path) -> Records:
    """Every whole group of rows.

    Raises:
        NoRowsError: there are none.
    """
    found = read_records(folder)
    if not found.groups:
        raise NoRowsError(
            f"{folder}: expected records-<rank>.jsonl with rows of a run; found none. Run "
            "`python -m comparisons run` into it first."
        )
    return found


def provenance_of(folder: Path) -> Any:
    """What ``provenance.json`` says; None where there is none."""
    path = folder / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
