"""The report in a terminal: one screen of counts, and the summary's first statements."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table as Drawn

from comparisons.report.columns import method_order

if TYPE_CHECKING:
    from rich.console import Console

    from comparisons.report.layout import Table
    from comparisons.report.summary import Statement

__all__ = ["show"]

WIDTH = 100
LINE = 190  # characters that a statement may take
TITLE = (
    "Columns in which a method is best or tied with it, of those with a direction and a value"
)
NOTE = (
    "A count, no score: columns are not worth the same; cost and sanity checks are left out. "
    "Values, intervals and reasons: report/index.html and table.md"
)
BRIEF = {"Do the declared sums hold?", "ILIN and InputXGradient", "What failed"}


def show(tables: list[Table], statements: list[Statement], console: Console) -> None:
    """How often each method is best, model by model, and the summary's first statements."""
    if counts := _counts(tables):
        console.print(f"\n{TITLE}", style="bold", highlight=False, markup=False)
        console.print(_drawn(counts), width=WIDTH)
        console.print(NOTE, highlight=False, width=WIDTH)
    for statement in statements:
        if statement.heading in BRIEF:
            console.print(f"\n{statement.heading}", style="bold", highlight=False)
            for line in statement.lines:
                told = shorten(line, LINE, placeholder=" … (summary.md)")
                console.print(f"  {told}", highlight=False, markup=False, width=WIDTH)


def _drawn(counts: dict[tuple[str, str], tuple[int, int]]) -> Drawn:
    models = list(dict.fromkeys(model for model, _ in counts))
    drawn = Drawn(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    drawn.add_column("method", no_wrap=True, min_width=15)
    for model in models:
        drawn.add_column(model, justify="right", overflow="fold", min_width=8)
    for method in sorted({method for _, method in counts}, key=method_order):
        cells = [counts.get((model, method), (0, 0)) for model in models]
        drawn.add_row(method, *(f"{best} of {of}" if of else "–" for best, of in cells))
    return drawn


def _counts(tables: list[Table]) -> dict[tuple[str, str], tuple[int, int]]:
    """(model, method) → (best or tied, columns with a value)."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for table in tables:
        if table.is_ranks or table.is_sanity or table.family == "cost":
            continue
        for line in table.lines:
            held = [
                cell.bold
                for heading, cell in zip(table.headings, line.cells, strict=True)
                if heading.arrow and cell.has_value
            ]
            best, of = counts.get((table.model, line.method), (0, 0))
            if not line.control:
                counts[table.model, line.method] = best + sum(held), of + len(held)
    return counts
