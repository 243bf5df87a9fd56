"""Similarity to the trained network's map while layer after layer is randomised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons.report.columns import Column, method_order
from comparisons.report.figures.drawing import COLOURS, panels, save
from comparisons.report.frame import blocks
from comparisons.report.sanity import layer_order, null_band, of_null
from comparisons.statistics import interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from comparisons.report.figures.drawing import Figure

__all__ = ["cascade_figures"]

CAPTION = (
    "Mean similarity with its 95 % interval after each layer, in the order of randomisation. "
    "Shaded across the panel: the null, the same similarity between two networks with nothing "
    "trained. A sanity check, not a ranking: what matters is where a line ends beside its own "
    "band."
)


OVER: tuple[Any, ...] = ("-", (0, (2, 2)), (2, (1, 3)), (1, (1, 4)))  # all show where equal


def cascade_figures(folder: Path, frame: pd.DataFrame) -> Iterator[Figure]:
    """One figure for each model and cascade, a panel for each method."""
    held = frame[frame["value"].notna() & frame["step"].isna()]
    layered = held[held["layer"].notna()]
    for (model, metric, variant), part in layered.groupby(["model", "metric", "variant"]):
        order = layer_order(part)
        if len(order) < 2:
            continue
        same = (held["model"] == model) & (held["metric"] == metric)
        whole = held[same & (held["variant"] == variant)]
        methods = sorted(part["method"].unique(), key=method_order)
        figure, axes = panels(
            len(methods), columns=5, width=2.3, height=2.2, sharey=True, sharex=True
        )
        for axis, method in zip(axes, methods, strict=True):
            _panel(axis, whole[whole["method"] == method], method, order)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        name = "_".join(filter(None, ["cascade", str(model), str(metric), str(variant)]))
        label = Column(str(metric), str(variant), "").label
        yield save(figure, folder, name, f"{label} on {model}", CAPTION)


def _panel(axis: Axes, part: pd.DataFrame, method: str, order: list[str]) -> None:
    quantities = sorted(q for q in part["quantity"].unique() if of_null(q) is None)
    for colour, dash, quantity in zip(COLOURS, OVER, quantities, strict=False):
        of_quantity = part[part["quantity"] == quantity]
        _line(axis, of_quantity, order, (colour, dash), quantity or "similarity")
        first = of_quantity.iloc[0]
        band = null_band(part, Column(first["metric"], first["variant"], quantity))
        if not np.isnan(band[0]):
            axis.axhspan(*band, color=colour, alpha=0.15, lw=0)
    axis.axhline(0, color="0.6", lw=0.6)
    axis.set_title(method)
    axis.set_xticks(range(len(order)), order, rotation=90, fontsize=7)


def _line(
    axis: Axes, part: pd.DataFrame, order: list[str], look: tuple[str, Any], label: str
) -> None:
    colour, dash = look
    places, found = [], []
    for place, layer in enumerate(order):
        of_layer = part[part["layer"] == layer]
        if len(of_layer):
            (block,) = blocks(of_layer)
            places.append(place)
            found.append(interval(block.values[0], draws=400))
    middle = np.array([one.value for one in found])
    axis.plot(places, middle, color=colour, ls=dash, marker="o", ms=3, lw=1.4, label=label)
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    axis.fill_between(places, low, high, color=colour, alpha=0.25, lw=0)
