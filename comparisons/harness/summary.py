"""How a run went, in a few lines: what failed, what is left, and the exit code for it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from comparisons.harness.exits import Exit
from comparisons.plural import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from comparisons.harness.plan import Unit
    from comparisons.harness.suite import MeasureChoice, Suite
    from comparisons.records import Records

__all__ = ["print_summary"]


def print_summary(
    suite: Suite,
    planned: Mapping[Unit, list[MeasureChoice]],
    records: Records,
    folder: Path,
    console: Console,
) -> Exit:
    """Say what failed and what is left of the plan.

    Returns:
        ``OUT_OF_TIME`` where cells are left, ``FAILED`` where a cell failed that the suite
        does not know to fail, else ``FINE``.
    """
    if records.warning:
        console.print(f"[yellow]{records.warning}[/]", highlight=False, soft_wrap=True)
    asked = [unit.cell(choice) for unit, choices in planned.items() for choice in choices]
    left = sum(cell not in records.groups for cell in asked)
    failed = [cell for cell in asked if cell in records.failed]
    by_pair: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell in failed:
        by_pair[cell.method, cell.model].append(records.failed[cell])
    for pair, reasons in by_pair.items():
        _print_failures(pair, reasons, known=pair in suite.known_failures, console=console)
    surprises = by_pair.keys() - set(suite.known_failures)
    if surprises:
        console.print(
            "--retry-failed runs failed cells again.", highlight=False, soft_wrap=True
        )
    console.print(
        f"{len(asked) - left:,} of {counted(len(asked), 'cell is', 'cells are')} recorded in "
        f"{folder}"
        + (f"; {counted(left, 'is', 'are')} left, the same command goes on." if left else "."),
        highlight=False,
        soft_wrap=True,
    )
    if left:
        return Exit.OUT_OF_TIME
    return Exit.FAILED if surprises else Exit.FINE


def _print_failures(
    pair: tuple[str, str], reasons: list[str], *, known: bool, console: Console
) -> None:
    """Once for a method on a model."""
    method, model = pair
    expected = ", as the suite knows" if known else ""
    different = len(set(reasons)) - 1
    more = f" (and {counted(different, 'other error')})" if different else ""
    cells = counted(len(reasons), "cell")
    console.print(
        f"{method} on {model}: {cells} failed{expected}: {reasons[0]}{more}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
