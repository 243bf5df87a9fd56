"""``Part``: one of the benchmark's questions, and ``Section``: what the page says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

__all__ = ["Part", "Section", "Step"]

Step = Callable[[str], None]  # says what begins now


@dataclass(frozen=True)
class Section:
    """A table that explains itself.

    Attributes:
        columns: each with what it means, in a line.
        left: how many columns are words, and stand to the left.
    """

    title: str
    text: str
    columns: dict[str, str]
    lines: list[list[str]]
    left: int = 2

    @property
    def markdown(self) -> str:
        """The section of a page, without what follows it."""
        ruled = ["---"] * self.left + ["---:"] * (len(self.columns) - self.left)
        rows = [list(self.columns), ruled, *self.lines]
        table = ["| " + " | ".join(row) + " |" for row in rows]
        legend = [f"- **{column}**: {meaning}" for column, meaning in self.columns.items()]
        return "\n".join([f"## {self.title}", "", self.text, "", *table, "", *legend]) + "\n"

    @property
    def table(self) -> Table:
        """The table alone, for the terminal."""
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=self.title)
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number < self.left else "right")
        for line in self.lines:
            table.add_row(*line)
        return table


@dataclass(frozen=True)
class Part:
    """What is measured of one network after the other.

    Attributes:
        name: also the ``part`` of its records.
        models: the networks it can be asked of; None for all.
        steps: how many steps one network takes, for so many repeats.
        measured: the records of one network.
        sections: the page's, from the records' rows.
    """

    name: str
    models: tuple[str, ...] | None
    steps: Callable[[int], int]
    measured: Callable[[str, int, Step], Iterator[Any]]
    sections: Callable[[list[dict[str, Any]]], list[Section]]

    def among(self, models: list[str]) -> list[str]:
        """Those of the networks that it is asked of."""
        return [name for name in models if self.models is None or name in self.models]
