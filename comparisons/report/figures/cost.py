"""What a method costs against what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import LogLocator, NullFormatter

from comparisons.report.columns import Column, method_order
from comparisons.report.figures.drawing import legend, looks, panels, save, titled
from comparisons.report.layout import models_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from comparisons.report.figures.drawing import Figure, Look

__all__ = ["cost_figures"]

QUALITIES = ("axiomatic", "faithfulness", "localisation", "robustness")
MOST = 9  # panels
CAPTION = (
    "Median wall time of one attribution against each metric's cell, with 95 % intervals of "
    "the metric. The arrow says which way is better; left is cheaper."
)


def cost_figures(folder: Path, table: pd.DataFrame) -> Iterator[Figure]:
    """One figure for each model whose time was measured."""
    for model in models_of(table):
        part = table[(table["model"] == model) & table["value"].notna()]
        part = part[~part["control"].astype(bool)]
        times = _times(part)
        columns = _columns(part)
        if len(times) < 2 or not columns:
            continue
        looked = looks(sorted(times, key=method_order))
        figure, axes = panels(len(columns), columns=3, width=3.2, height=2.8)
        for axis, column in zip(axes, columns, strict=True):
            _panel(axis, part, column, times, looked)
        legend(figure, axes)
        yield save(figure, folder, f"cost_{model}", f"Cost against quality on {model}", CAPTION)


def _times(part: pd.DataFrame) -> dict[str, float]:
    named = part["metric"] + " " + part["quantity"]
    timed = part[(part["family"] == "cost") & named.str.contains("second|time", regex=True)]
    first = timed.drop_duplicates("method")
    return dict(zip(first["method"], first["value"], strict=True))


def _columns(part: pd.DataFrame) -> list[Column]:
    """As many as there is room for: of each metric its first, then of each its second."""
    ranked = part[part["family"].isin(QUALITIES) & part["direction"].isin(["higher", "lower"])]
    names = ["metric", "variant", "quantity"]
    shared = ranked.groupby(names)["method"].transform("nunique") > 1
    keys = ranked[shared][names].drop_duplicates()
    columns = sorted(
        (Column(*key) for key in keys.itertuples(index=False)), key=lambda column: column.place
    )
    turns: dict[str, int] = {}
    taken = []
    for column in columns:
        turns[column.metric] = turns.get(column.metric, 0) + 1
        taken.append((turns[column.metric], column))
    chosen = [column for _, column in sorted(taken, key=lambda pair: pair[0])[:MOST]]
    return sorted(chosen, key=lambda column: column.place)


def _panel(
    axis: Axes,
    part: pd.DataFrame,
    column: Column,
    times: dict[str, float],
    looked: dict[str, Look],
) -> None:
    same = (part["metric"] == column.metric) & (part["variant"] == column.variant)
    held = part[same & (part["quantity"] == column.quantity)]
    for line in held.itertuples():
        if line.method not in times:
            continue
        look = looked[line.method]
        ends = [[max(0.0, line.value - line.low)], [max(0.0, line.high - line.value)]]
        axis.errorbar(
            [1e3 * times[line.method]],
            [line.value],
            yerr=ends,
            color=look.colour,
            marker=look.marker,
            ms=7 if line.method == "ILIN" else 5,
            lw=1,
            ls="none",
            label=line.method,
        )
    titled(axis, column)
    axis.set(xscale="log", xlabel="ms")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    if (held["value"] > 0).all() and held["value"].max() > 1e3 * held["value"].min():
        axis.set_yscale("log")
