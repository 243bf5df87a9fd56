"""The tables as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.report.captions import READING, short_caption

if TYPE_CHECKING:
    from comparisons.report.layout import Cell, Heading, Table

__all__ = ["markdown"]


def markdown(tables: list[Table]) -> str:
    """All tables, each under its title with its caption and notes."""
    return "\n".join([f"{READING}\n", *(_table(table) for table in tables)])


def _table(table: Table) -> str:
    header = ["method", *(_heading(heading) for heading in table.headings)]
    lines = [header, ["---"] + ["---:"] * len(table.headings)]
    lines += [
        [
            f"*{_escaped(line.method)}* (control)" if line.control else _escaped(line.method),
            *(_cell(cell) for cell in line.cells),
        ]
        for line in table.lines
    ]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notes = "".join(
        f"{number}. {_escaped(note)}\n" for number, note in enumerate(table.notes, start=1)
    )
    parts = [
        f"### {_escaped(table.title)}",
        short_caption(table),
        body,
        notes and f"Notes:\n\n{notes}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _heading(heading: Heading) -> str:
    name = f"{heading.name} {heading.arrow}".strip()
    return _escaped(f"{name}: {heading.detail}" if heading.detail else name)


def _cell(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.bold else cell.text
    notes = "".join(f"<sup>{number}</sup>" for number in cell.notes)
    return _escaped(" ".join(filter(None, [value, cell.interval, cell.verdict]))) + notes


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
