"""The report in a terminal: short tables of a hundred columns, and the summary's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table as Drawn
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from comparisons.report.layout import Cell, Table
    from comparisons.report.summary import Statement

__all__ = ["show"]

WIDTH = 100
FEW = 5  # columns beside the method's that fit
NOTE = "Bold: best or tied with it. Intervals, n and reasons: report/index.html and table.md"
BRIEF = {"Do the declared sums hold?", "ILIN and InputXGradient", "What failed"}


def show(tables: list[Table], statements: list[Statement], console: Console) -> None:
    """Estimates alone: no intervals, a table for each model and family."""
    for table in tables:
        for start in range(0, len(table.headings), FEW):
            console.print(f"\n{table.title}", style="bold", highlight=False, markup=False)
            console.print(_drawn(table, start), width=WIDTH)
    console.print(NOTE, highlight=False, width=WIDTH)
    for statement in statements:
        if statement.heading in BRIEF:
            console.print(f"\n{statement.heading}", style="bold", highlight=False)
            for line in statement.lines:
                console.print(f"  {line}", highlight=False, markup=False, width=WIDTH)


def _drawn(table: Table, start: int) -> Drawn:
    drawn = Drawn(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    drawn.add_column("method", max_width=22)
    for heading in table.headings[start : start + FEW]:
        head = Text(f"{heading.name} {heading.arrow}".strip())
        detail = heading.detail.replace(" · ", "\n")
        drawn.add_column(
            head + Text(f"\n{detail}", style="dim") if detail else head,
            justify="right",
            max_width=16,
        )
    for line in table.lines:
        style = "dim italic" if line.control else ""
        cells = [_cell(cell) for cell in line.cells[start : start + FEW]]
        drawn.add_row(Text(line.method), *cells, style=style)
    return drawn


def _cell(cell: Cell) -> Text:
    text = Text(cell.text, style="bold" if cell.bold else "")
    if cell.verdict:
        text.append(f" {cell.verdict.partition(' ')[0] if 'null' not in cell.verdict else ''}")
    return text
