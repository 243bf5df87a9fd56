"""The table of a run: medians over examples, in the terminal and as Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from comparisons.models import Network

__all__ = ["markdown", "print_tables", "summary"]

COLUMNS = (
    "method",
    "declared\nerror ↓",
    "against\n0 ↓",
    "against\nnoise ↓",
    "|b|/|F|",
    "rows\nfwd",
    "rows\nback",
    "ms",
    "MB",
)
NOTE = (
    "declared error: |Σφ + φ0 − F|/|F| with the method's own φ0: ILIN the ledger's b, "
    "InputXGradient 0, Integrated Gradients and DeepLIFT F(x') at x' = 0. "
    "against 0: |Σφ − (F(x) − F(0))|/|F|. against noise: the declared error at a random x', "
    "for methods that use a baseline. Medians over examples; – where a method claims "
    "nothing. rows: through the model, forward and back. ms: wall time. MB: the most that "
    "PyTorch's allocator held at once."
)


def summary(rows: list[dict[str, Any]], model: str) -> list[list[str]]:
    """One line for each method: its name, then a cell for each column."""
    methods = dict.fromkeys(row["method"] for row in rows if row["model"] == model)
    return [
        _line(method, [r for r in rows if r["model"] == model and r["method"] == method])
        for method in methods
    ]


def _line(method: str, rows: list[dict[str, Any]]) -> list[str]:
    good = [row for row in rows if row["error"] is None]
    if not good:
        return [method, f"failed: {rows[0]['error']}", *[""] * (len(COLUMNS) - 2)]
    failed = (
        f" ({len(rows) - len(good)} of {len(rows)} failed)" if len(good) < len(rows) else ""
    )
    return [
        method + failed,
        _relative(good, "declared_error"),
        _relative(good, "zero_baseline_error"),
        _relative(good, "random_baseline_error"),
        _relative(good, "bias", ".2f"),
        _median(good, "forwards", 1, ".0f"),
        _median(good, "backwards", 1, ".0f"),
        _median(good, "seconds", 1e3, ".1f"),
        _median(good, "peak_bytes", 1e-6, ".1f"),
    ]


def _relative(rows: list[dict[str, Any]], key: str, form: str = ".1e") -> str:
    values = [abs(row[key] / row["value"]) for row in rows if row[key] is not None]
    return format(statistics.median(values), form) if values else "–"


def _median(rows: list[dict[str, Any]], key: str, scale: float, form: str) -> str:
    values = [row[key] for row in rows if row[key] is not None]
    return format(statistics.median(values) * scale, form) if values else "–"


def print_tables(rows: list[dict[str, Any]], networks: list[Network], console: Console) -> None:
    """A table for each model."""
    for network in networks:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for number, column in enumerate(COLUMNS):
            left = number == 0
            table.add_column(
                column, justify="left" if left else "right", min_width=19 if left else None
            )
        for line in summary(rows, network.name):
            table.add_row(*line)
        console.print(f"\n[bold]{network.name}[/]: {network.description}", highlight=False)
        console.print(table)
    console.print(NOTE, highlight=False)


def markdown(rows: list[dict[str, Any]], networks: list[Network]) -> str:
    """The same tables as Markdown."""
    parts = []
    for network in networks:
        lines = [
            [column.replace("\n", " ") for column in COLUMNS],
            ["---"] + ["---:"] * (len(COLUMNS) - 1),
        ]
        lines += summary(rows, network.name)
        table = "\n".join(
            "| "
            + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line)
            + " |"
            for line in lines
        )
        parts.append(f"**{network.name}**: {network.description}\n\n{table}\n")
    return "\n".join(parts) + "\n" + NOTE.replace("|", "\\|") + "\n"
