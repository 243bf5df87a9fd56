"""Curves with intervals: insertion and deletion, or any metric whose rows have a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from captum_ilin.metrics import Direction
from comparisons.report.columns import Column, is_control, method_order
from comparisons.report.figures.drawing import (
    control_looks,
    legend,
    looks,
    panels,
    save,
    titled,
)
from comparisons.report.frame import curves
from comparisons.statistics import interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from comparisons.report.figures.drawing import Figure, Look

__all__ = ["by_method", "coinciding", "curve_figures"]

CAPTION = (
    "Mean over model seeds and examples against the share of features removed or inserted; "
    "shaded, the 95 % interval of ILIN and of the best method beside it. Methods whose curves "
    "are the same to rounding share a line and an entry of the legend. Thin and grey: the "
    "controls."
)
MOST = 14  # methods that a panel can show
DRAWS = 400
SAME = 1e-3  # of a curve's reach; as where methods' numbers are compared

Cells = dict[tuple[Column, str], "pd.DataFrame"]


def curve_figures(folder: Path, frame: pd.DataFrame) -> Iterator[Figure]:
    """One figure for each model, a panel for each metric and variant."""
    held = curves(frame)
    for model, part in held.groupby("model"):
        cells = by_method(part)
        keys = sorted({column for column, _ in cells}, key=lambda column: column.place)
        groups = coinciding(cells)
        looked = _looks(list(groups))
        figure, axes = panels(len(keys), columns=3, width=3.4, height=3.1)
        for axis, column in zip(axes, keys, strict=True):
            _panel(axis, cells, column, groups, looked)
        legend(figure, axes)
        yield save(figure, folder, f"curves_{model}", f"Curves on {model}", CAPTION)


def by_method(part: pd.DataFrame) -> Cells:
    """(column, method) → values by (step, model seed) and sample."""
    keys = ["step", "model_seed", "sample"]
    return {
        (Column(*map(str, key[:3])), str(key[3])): found.groupby(keys)["value"]
        .mean()
        .unstack("sample")
        for key, found in part.fillna({"model_seed": -1.0}).groupby(
            ["metric", "variant", "quantity", "method"]
        )
    }


def coinciding(cells: Cells) -> dict[str, list[str]]:
    """First method → all whose curves are the same as its own in every panel; in order."""
    methods = sorted({method for _, method in cells}, key=method_order)
    means = {
        method: {
            column: found.mean(axis=1).groupby("step").mean()
            for (column, name), found in cells.items()
            if name == method
        }
        for method in methods
    }
    groups: dict[str, list[str]] = {}
    for method in methods:
        same = (first for first in groups if _same(means[first], means[method]))
        groups.setdefault(next(same, method), []).append(method)
    return groups


def _same(one: dict[Column, pd.Series], two: dict[Column, pd.Series]) -> bool:
    return one.keys() == two.keys() and all(
        one[column].index.equals(two[column].index)
        and np.ptp(one[column]) > 0
        and bool((one[column] - two[column]).abs().max() <= SAME * np.ptp(one[column]))
        for column in one
    )


def _looks(methods: list[str]) -> dict[str, Look]:
    proposed = [method for method in methods if not is_control(method)][:MOST]
    return looks(proposed) | control_looks([method for method in methods if is_control(method)])


def _panel(
    axis: Axes,
    cells: Cells,
    column: Column,
    groups: dict[str, list[str]],
    looked: dict[str, Look],
) -> None:
    held = [method for method in looked if (column, method) in cells]
    banded = {"ILIN", _best(cells, column, held)}
    for method in held:
        found = cells[column, method]
        steps = sorted(found.index.unique("step"))
        label = " = ".join(groups[method])
        look, middle = looked[method], [_mean(found.loc[step]) for step in steps]
        axis.plot(steps, middle, color=look.colour, ls=look.dash, lw=look.width, label=label)
        if method in banded:
            ends = [interval(found.loc[step].to_numpy(), draws=DRAWS) for step in steps]
            low, high = ([getattr(one, end) for one in ends] for end in ("low", "high"))
            axis.fill_between(steps, low, high, color=look.colour, alpha=0.15, lw=0)
    titled(axis, column)
    axis.set_xlabel("share of features")
    axis.set_xlim(0, 1)


def _best(cells: Cells, column: Column, methods: list[str]) -> str | None:
    """Beside ILIN, the method whose curve lies best on average; none without a direction."""
    sign = -1 if column.direction is Direction.HIGHER else 1
    areas = {
        method: sign * _mean(cells[column, method])
        for method in methods
        if method != "ILIN" and not is_control(method)
    }
    return min(areas, key=areas.__getitem__) if areas and column.direction.arrow else None


def _mean(values: pd.DataFrame) -> float:
    found: NDArray[np.float64] = values.to_numpy(dtype=np.float64)
    return float(np.nanmean(found))
