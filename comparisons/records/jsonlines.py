"""A folder with ``records.jsonl``, one record a line, and the run's ``provenance.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["JsonLines"]


class JsonLines:
    """The records of a timing run, from its start; `records` has those of a suite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "records.jsonl"

    def start(self, facts: dict[str, Any]) -> None:
        """Make the folder, with the run's provenance and no records yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "provenance.json").write_text(json.dumps(facts, indent=2) + "\n")
        self.path.write_text("")

    def append(self, record: Any) -> None:
        """Add one record, a dataclass; it is on disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text().splitlines():
            yield json.loads(line)
