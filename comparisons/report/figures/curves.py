"""Curves with intervals: insertion and deletion, or any metric whose rows have a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from comparisons.report.columns import Column, is_control, method_order
from comparisons.report.figures.drawing import legend, looks, panels, save
from comparisons.report.frame import curves
from comparisons.statistics import interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from comparisons.report.figures.drawing import Figure, Look

__all__ = ["curve_figures"]

CAPTION = (
    "Mean over model seeds and examples with its 95 % interval, against the share of features "
    "removed or inserted. Dotted black: the controls."
)
MOST = 14  # methods that a panel can show
DRAWS = 400


def curve_figures(folder: Path, frame: pd.DataFrame) -> Iterator[Figure]:
    """One figure for each model, a panel for each metric and variant."""
    held = curves(frame)
    for model, part in held.groupby("model"):
        keys = sorted(
            {
                Column(*key)
                for key in part[["metric", "variant", "quantity"]].itertuples(index=False)
            },
            key=lambda column: column.place,
        )
        methods = sorted(part["method"].unique(), key=method_order)
        looked = looks([m for m in methods if not is_control(m)][:MOST])
        figure, axes = panels(len(keys), columns=3, width=3.3, height=2.9)
        for axis, column in zip(axes, keys, strict=True):
            _panel(axis, part, column, looked)
        legend(figure, axes)
        yield save(figure, folder, f"curves_{model}", f"Curves on {model}", CAPTION)


def _panel(axis: Axes, part: pd.DataFrame, column: Column, looked: dict[str, Look]) -> None:
    same = (
        (part["metric"] == column.metric)
        & (part["variant"] == column.variant)
        & (part["quantity"] == column.quantity)
    )
    for method, of_method in part[same].groupby("method", sort=False):
        if method in looked or is_control(str(method)):
            _curve(axis, str(method), of_method, looked.get(str(method)))
    axis.set_title(column.label)
    axis.set_xlabel("share of features")
    axis.set_xlim(0, 1)


def _curve(axis: Axes, method: str, part: pd.DataFrame, look: Look | None) -> None:
    keys = ["step", "model_seed", "sample"]
    cells = part.fillna({"model_seed": -1.0}).groupby(keys)["value"].mean().unstack("sample")
    steps = sorted(part["step"].unique())
    found = [interval(cells.loc[step].to_numpy(), draws=DRAWS) for step in steps]
    middle = [one.value for one in found]
    if look is None:
        axis.plot(steps, middle, color="black", ls=":", lw=1.2, label=method)
        return
    axis.plot(steps, middle, color=look.colour, ls=look.dash, lw=look.width, label=method)
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    axis.fill_between(steps, low, high, color=look.colour, alpha=0.1, lw=0)
