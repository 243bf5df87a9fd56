"""Whether metrics agree on which methods are better: Spearman's correlation over methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from captum_ilin.pictures import SIGNED_MAP
from comparisons.report.columns import Column
from comparisons.report.figures.drawing import panels, save
from comparisons.report.layout import models_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comparisons.report.figures.drawing import Figure

__all__ = ["correlation_figures", "correlations"]

FEWEST = 4  # methods that two metrics must share
CAPTION = (
    "Spearman's correlation over the methods (controls left out) between the metrics' cells, "
    "averaged over the models; metrics that are better when lower are turned round, so 1 says "
    "that two metrics prefer the same methods. Grey: fewer than four methods have both, or "
    "all have the same value. Few methods: read the pattern, not the decimals."
)


def correlations(table: pd.DataFrame) -> pd.DataFrame:
    """(metrics, metrics), averaged over the models; NaN where nothing can be said."""
    held = table[table["direction"].isin(["higher", "lower"]) & ~table["control"].astype(bool)]
    held = held[held["value"].notna()]
    found = [_of_model(held[held["model"] == model]) for model in models_of(held)]
    found = [one for one in found if len(one) > 1]
    if not found:
        return pd.DataFrame()
    mean = pd.concat(found).groupby(level=0, sort=False).mean()
    order = [label for label in _labels(held) if label in mean.columns]
    mean = mean.reindex(index=order, columns=order)
    known = mean.columns[mean.notna().any()]
    return mean.loc[known, known]


def _of_model(part: pd.DataFrame) -> pd.DataFrame:
    labels = [
        Column(line.metric, line.variant, line.quantity).label for line in part.itertuples()
    ]
    signed = part["value"].where(part["direction"] == "higher", -part["value"])
    wide = pd.DataFrame({"label": labels, "method": part["method"].to_numpy(), "v": signed})
    ranks = wide.pivot_table(index="method", columns="label", values="v")[_labels(part)]
    return ranks.corr("spearman", min_periods=FEWEST)


def _labels(part: pd.DataFrame) -> list[str]:
    """In the tables' order."""
    columns = {Column(line.metric, line.variant, line.quantity) for line in part.itertuples()}
    return [column.label for column in sorted(columns, key=lambda column: column.place)]


def correlation_figures(folder: Path, table: pd.DataFrame) -> Iterator[Figure]:
    """One heat map."""
    found = correlations(table)
    if len(found) < 2:
        return
    count, names = len(found), list(found.columns)
    side = 2.2 + 0.36 * count
    figure, (axis,) = panels(1, columns=1, width=side + 1.2, height=side)
    values = found.to_numpy()
    axis.set_facecolor("0.85")
    drawn = axis.imshow(np.ma.masked_invalid(values), cmap=SIGNED_MAP, vmin=-1, vmax=1)
    axis.set_xticks(range(count), names, rotation=90, fontsize=8)
    axis.set_yticks(range(count), names, fontsize=8)
    axis.grid(False)
    for row, column in np.ndindex(count, count):
        value = values[row, column]
        if np.isfinite(value):
            ink = "white" if abs(value) > 0.65 else "black"
            text = f"{value:.1f}".replace("-0.0", "0.0")
            axis.text(column, row, text, ha="center", va="center", color=ink, fontsize=7)
    figure.colorbar(drawn, ax=axis, shrink=0.6, ticks=[-1, 0, 1])
    yield save(figure, folder, "correlation", "Do the metrics agree?", CAPTION)
