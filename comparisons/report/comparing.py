"""``compare``: what changed between two runs, beyond the intervals of paired differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from comparisons.report.columns import Column, method_order
from comparisons.report.frame import Block, blocks, frame_of, scalars
from comparisons.report.number import numbers
from comparisons.report.reading import NoRowsError, records_of
from comparisons.statistics import interval
from comparisons.statistics.signedrank import RESOLUTION

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["compare", "differences"]

CHANGED, EQUAL = "changed", "equal within its interval"
SHOWN = 40


def compare(first: Path, second: Path, console: Console) -> int:
    """Print what differs between two runs; examples are paired by number and model seed.

    Wall times and memory differ between any two runs; they are shown, and count for nothing.

    Returns:
        0 if every pair is equal within its interval and neither run has what the other lacks;
        1 otherwise; 2 where a folder has no rows.
    """
    try:
        frames = [scalars(frame_of(records_of(folder).rows)) for folder in (first, second)]
    except NoRowsError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 2
    found = differences(*frames)
    told = found[found["verdict"] != EQUAL]
    console.print(f"A: {first}\nB: {second}", highlight=False, soft_wrap=True)
    if len(told):
        console.print(_table(told.head(SHOWN)), width=100)
    if len(told) > SHOWN:
        console.print(f"and {len(told) - SHOWN} more")
    counted = found["verdict"].value_counts().sort_index()
    console.print("; ".join(f"{n} {what}" for what, n in counted.items()), highlight=False)
    counting = told[told["family"] != "cost"]
    return 1 if len(counting) else 0


def differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """A line for each (model, column, method) of either run.

    B − A with its 95 % interval over the pairs both have; "changed" where that leaves out 0
    by more than rounding, or where values became missing or came to be.
    """
    merged = pd.concat([first.assign(method="A" + first["method"]),
                        second.assign(method="B" + second["method"])])  # fmt: skip
    lines = [line for block in blocks(merged) for line in _lines(block)]
    return pd.DataFrame(
        lines,
        columns=[
            "model",
            "family",
            "column",
            "method",
            "a",
            "b",
            "difference",
            "low",
            "high",
            "pairs",
            "verdict",
        ],
    )


def _lines(block: Block) -> list[dict[str, Any]]:
    held = dict(zip(block.methods, block.values, strict=True))
    names = sorted({name[1:] for name in held}, key=method_order)
    return [
        {"model": block.model, "family": block.column.family, "column": block.column.label}
        | {"method": name}
        | _difference(held.get(f"A{name}"), held.get(f"B{name}"), block.column)
        for name in names
    ]


def _difference(first: Any, second: Any, column: Column) -> dict[str, Any]:
    if first is None or second is None:
        return {"verdict": "only in A" if second is None else "only in B", "pairs": 0}
    statistic: Any = column.statistic
    change = np.where(
        np.abs(second - first) <= RESOLUTION * np.fmax(np.abs(first), np.abs(second)),
        0.0,
        second - first,
    )
    found = interval(change, statistic=statistic)
    a, b = (interval(values, statistic=statistic).value for values in (first, second))
    gained = bool((np.isfinite(first) != np.isfinite(second)).any())
    moved = (
        found.low > 0 or found.high < 0 or (np.isnan(found.low) and found.value not in (0.0,))
    )
    moved = moved and found.n > 0
    verdict = CHANGED if moved else "other examples have values" if gained else EQUAL
    return {
        "a": a,
        "b": b,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "pairs": found.n,
        "verdict": verdict,
    }


def _table(found: pd.DataFrame) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("model", "column", "method", "A", "B", "B − A", "pairs", "verdict"):
        right = name in {"A", "B", "B − A", "pairs"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for line in found.itertuples():
        a, b, difference, low, high = numbers(
            line.a, line.b, line.difference, line.low, line.high
        )
        change = f"{difference} [{low}, {high}]" if low != "–" else difference
        texts = (
            line.model,
            line.column,
            line.method,
            a,
            b,
            change,
            str(line.pairs),
            line.verdict,
        )
        table.add_row(*map(Text, texts))
    return table
