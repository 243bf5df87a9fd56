"""The whole benchmark: measure part by part, record, print, and write the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from rich.progress import Progress

from comparisons.plural import counted
from comparisons.records.jsonlines import JsonLines
from comparisons.records.provenance import provenance
from comparisons.threads import threads_set
from comparisons.timing.mapping.budget import BUDGETS
from comparisons.timing.mapping.products import PRODUCTS
from comparisons.timing.mapping.regions import REGIONS
from comparisons.timing.mapping.rows import ROWS

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from comparisons.timing.mapping.part import Part, Step

__all__ = ["PARTS", "mapping"]

WEIGHTS = "random; efficientnet_lite0's own"
PARTS = (PRODUCTS, ROWS, REGIONS, BUDGETS)


def mapping(
    folder: Path, models: list[str], *, repeats: int, threads: int, console: Console
) -> None:
    """Measure, record and print. Half an hour for all; all rows are run once.

    Leaves ``records.jsonl``, ``provenance.json`` and ``map.md``, the last as far as the run
    has come.
    """
    records = JsonLines(folder)
    with threads_set(threads):
        facts = {"repeats": repeats, "batch": 1, "models": models}
        records.start(provenance(dtype="float32", weights=WEIGHTS, seed=0, **facts))
        with Progress(console=console, transient=True) as progress:
            total = sum((1 + part.steps(repeats)) * len(part.among(models)) for part in PARTS)
            task = progress.add_task("", total=total)

            def step(description: str) -> None:
                progress.update(task, description=description, advance=1)

            for part in PARTS:
                _measure(part, models, repeats, records, step)
                rows = [row for row in records if row["part"] == part.name]
                for section in part.sections(rows) if rows else []:
                    console.print(section.table)
                (folder / "map.md").write_text(_page(list(records), repeats))
    told = f"{counted(repeats, 'paired repeat')}, batch 1, {counted(threads, 'thread')}"
    console.print(told)
    console.print(f"  {folder / 'map.md'}", highlight=False)


def _measure(
    part: Part, models: list[str], repeats: int, records: JsonLines, step: Step
) -> None:
    for name in part.among(models):
        step(f"{name}: {part.name}")
        for record in part.measured(name, repeats, step):
            records.append(record)


def _page(rows: list[dict[str, Any]], repeats: int) -> str:
    """The sections of the parts that have been measured."""
    head = (
        "# The affine map's cost\n\n"
        f"Batch 1, float32, {counted(torch.get_num_threads(), 'thread')}, "
        f"{counted(repeats, 'paired repeat')}. Calls run in a new order in every repeat, and "
        "ratios are those of one repeat.\n"
    )
    found = {part.name: [row for row in rows if row["part"] == part.name] for part in PARTS}
    sections = [
        s for part in PARTS if found[part.name] for s in part.sections(found[part.name])
    ]
    return "\n".join([head, *(section.markdown for section in sections)])
