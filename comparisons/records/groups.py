"""Records: the rows of a suite's run on disk, valid whenever the writing stops.

Every process of a run appends to its own ``records-<rank>.jsonl``, one JSON line for each
`Row`. The rows of one cell (an example under a method, and a measure of it) are a group that
is written at once; a group that was cut off counts as not there, and its cell is run again.
Kept runs have the same files compressed, ``records-<rank>.jsonl.xz``.
"""

from __future__ import annotations

import json
import lzma
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from comparisons.plural import counted
from comparisons.records.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["Cell", "Records", "Writer", "cell_of", "read_records"]

FIELDS = frozenset(field.name for field in fields(Row))


class Cell(NamedTuple):
    """What a group of rows belongs to."""

    model: str
    model_seed: int | None
    method: str
    sample: int
    metric: str
    metric_hash: str


def cell_of(row: Row) -> Cell:
    """The cell of a row."""
    return Cell(row.model, row.model_seed, row.method, row.sample, row.metric, row.metric_hash)


@dataclass(frozen=True)
class Records:
    """What a results folder holds.

    Attributes:
        groups: the rows of each cell, whole groups only.
        corrupt: how many lines are no rows.
        broken: how many groups were cut off.
        duplicates: how many groups were left out because their cell is there already.
    """

    groups: dict[Cell, tuple[Row, ...]]
    corrupt: int = 0
    broken: int = 0
    duplicates: int = 0

    @property
    def rows(self) -> list[Row]:
        """All rows, a cell's after one another."""
        return [row for group in self.groups.values() for row in group]

    @property
    def failed(self) -> dict[Cell, str]:
        """The cells that failed, and their errors."""
        return {
            cell: str(group[0].reason) for cell, group in self.groups.items() if group[0].failed
        }

    @property
    def warning(self) -> str | None:
        """A line on what was left out; None if nothing was cut off or corrupt."""
        if not self.corrupt + self.broken:
            return None
        return (
            f"Left out {counted(self.corrupt, 'corrupt or half-written line')} and "
            f"{counted(self.broken, 'group that is not whole', 'groups that are not whole')}, "
            "as a killed run leaves them; their cells count as not run."
        )


def read_records(folder: Path) -> Records:
    """All whole groups of a results folder.

    The first group of a cell wins; one that failed gives way to one written after it.
    """
    groups: dict[Cell, tuple[Row, ...]] = {}
    corrupt = broken = duplicates = 0
    for path in sorted(folder.glob("records-*.jsonl*")):
        for group in _groups(path):
            if group is None:
                corrupt += 1
            elif len(group) < group[0].parts:
                broken += 1
            else:
                known = groups.get(cell_of(group[0]))
                duplicates += known is not None
                if known is None or known[0].failed:
                    groups[cell_of(group[0])] = tuple(group)
    return Records(groups, corrupt, broken, duplicates)


def _groups(path: Path) -> Iterator[list[Row] | None]:
    """The groups of a file, whole or cut off, and None for every line that is no row."""
    group: list[Row] = []
    for line in _lines(path):
        row = _row(line)
        if row is not None and _continues(group, row):
            group.append(row)
        else:
            if group:
                yield group
            group = [row] if row is not None and row.part == 0 else []
            if not group:  # the rest of a group that lost its beginning is as corrupt
                yield None
        if group and len(group) == group[0].parts:
            yield group
            group = []
    if group:
        yield group


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    try:
        return (lzma.decompress(data) if path.suffix == ".xz" else data).splitlines()
    except lzma.LZMAError:
        return [data]  # one corrupt line


def _continues(group: Sequence[Row], row: Row) -> bool:
    return (
        bool(group)
        and cell_of(group[0]) == cell_of(row)
        and (row.part, row.parts) == (len(group), group[0].parts)
    )


def _row(line: bytes) -> Row | None:
    try:
        found = json.loads(line)
    except ValueError:  # also for bytes that are no UTF-8
        return None
    if not isinstance(found, dict) or found.keys() != FIELDS:
        return None
    row = Row(**found)
    counts = (row.sample, row.part, row.parts)
    is_sound = all(type(count) is int for count in counts) and 0 <= row.part < row.parts
    is_sound &= row.value is None or type(row.value) in (int, float)
    return row if is_sound else None


class Writer:
    """Appends groups to one file; a context manager.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        cut = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if cut:  # a line of its own for what comes after a half-written one
            os.write(self._file, b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, group: Iterable[Row]) -> None:
        """Write a whole group at once: a killed process leaves it, whole."""
        lines = (json.dumps(asdict(row), allow_nan=False) + "\n" for row in group)
        data = "".join(lines).encode()
        while data:  # one call, unless the disk is full or the group is huge
            data = data[os.write(self._file, data) :]

    def flush(self) -> None:
        """See that what is written is on the disk: a machine that stops leaves it."""
        os.fsync(self._file)
