"""``report``: tables, figures, statistics and a page from the rows of a results folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from comparisons.plural import counted
from comparisons.records.warned import read_warned
from comparisons.report.aggregate import Analysis, analysed
from comparisons.report.figures import figures
from comparisons.report.frame import frame_of
from comparisons.report.latex import latex
from comparisons.report.layout import laid_out
from comparisons.report.markdown import markdown
from comparisons.report.page import page
from comparisons.report.reading import NoRowsError, provenance_of, records_of
from comparisons.report.summary import Statement, summary
from comparisons.report.terminal import show

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from comparisons.report.layout import Table

__all__ = ["report"]


def report(folder: Path, console: Console) -> int:
    """Write the report of a run into ``folder/report`` and print its tables in short.

    ``index.html`` is the page; ``table.csv`` the aggregated frame, from which ``table.md``,
    ``table.tex`` and the page's tables are made; ``rows.csv`` the raw rows; ``pairs.csv`` and
    ``ranks.csv`` the tests; ``summary.md`` what they say; ``figures`` PNG and PDF. The same
    rows give the same bytes.

    Returns:
        0; 2 where the folder has no rows.
    """
    try:
        records = records_of(folder)
    except NoRowsError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 2
    into = folder / "report"
    into.mkdir(exist_ok=True)
    frame = frame_of(records.rows)
    found = analysed(frame)
    tables = laid_out(found.table)
    statements = summary(frame, found)
    notes = [records.warning] if records.warning else []
    drawn = figures(into / "figures", frame, found, notes)
    whole = page(
        frame,
        found,
        tables=tables,
        figures=drawn,
        statements=statements,
        notes=notes,
        provenance=provenance_of(folder),
        warned=read_warned(folder),
    )
    _write_frames(into, frame, found)
    _write_texts(into, tables, statements, whole)
    show(tables, statements, console)
    _list_files(into, len(drawn), console)
    return 0


def _write_frames(into: Path, frame: pd.DataFrame, found: Analysis) -> None:
    frame.astype({"model_seed": "Int64", "seed": "Int64"}).to_csv(
        into / "rows.csv", index=False
    )
    found.table.to_csv(into / "table.csv", index=False)
    found.pairs.to_csv(into / "pairs.csv", index=False)
    lines = [
        (block.model, column.metric, column.variant, column.quantity, method, rank, *told)
        for block, test in found.ranks
        for column in [block.column]
        for told in [(test.p, test.critical, test.blocks, test.dropped, test.reason or "")]
        for method, rank in zip(block.methods, test.ranks.tolist(), strict=True)
    ]
    names = ["model", "metric", "variant", "quantity", "method", "mean_rank"]
    names += ["friedman_p", "critical_difference", "examples", "dropped", "reason"]
    pd.DataFrame(lines, columns=names).to_csv(into / "ranks.csv", index=False)


def _write_texts(
    into: Path, tables: list[Table], statements: list[Statement], whole: str
) -> None:
    texts = {
        "table.md": markdown(tables),
        "table.tex": latex(tables),
        "summary.md": _plain(statements),
        "index.html": whole,
    }
    for name, text in texts.items():
        (into / name).write_text(text, encoding="utf-8")


def _plain(statements: list[Statement]) -> str:
    return "\n".join(
        f"## {statement.heading}\n\n" + "".join(f"- {line}\n" for line in statement.lines)
        for statement in statements
    )


def _list_files(into: Path, figures: int, console: Console) -> None:
    for path in sorted(path for path in into.iterdir() if path.is_file()):
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    console.print(
        f"  {into / 'figures'}: {counted(figures, 'figure')}",
        highlight=False,
        soft_wrap=True,
    )
