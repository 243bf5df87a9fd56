"""What Integrated Gradients' sum lacks, against its steps; and ILIN's, which takes none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.methods import METHODS
from comparisons.report.columns import Column
from comparisons.report.figures.drawing import COLOURS, legend, panels, save
from comparisons.report.layout import models_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from comparisons.report.figures.drawing import Figure

__all__ = ["declared_completeness", "step_figures", "steps_of"]

CAPTION = (
    "The error of the sum that a method itself declares, |Σφ + φ0 − F(x)|, of Integrated "
    "Gradients against its number of steps, with 95 % intervals; the line is ILIN's, one "
    "forward and one backward pass, with its interval shaded."
)


def declared_completeness(table: pd.DataFrame) -> list[Column]:
    """The columns that hold the completeness a method itself declares."""
    keys = table[["metric", "variant", "quantity"]].drop_duplicates()
    found = [Column(*key) for key in keys.itertuples(index=False)]
    return sorted(
        (c for c in found if "completeness" in c.metric and "declared" in c.label),
        key=lambda column: column.place,
    )


def steps_of(method: str) -> int | None:
    """The steps of an Integrated Gradients, None of another method.

    >>> steps_of("IG-50"), steps_of("ILIN")
    (50, None)
    """
    known = METHODS.get(method)
    return known.parameters.get("n_steps") if known else None


def step_figures(folder: Path, table: pd.DataFrame) -> Iterator[Figure]:
    """One figure, a panel for each model; none without two numbers of steps."""
    columns = declared_completeness(table)
    if not columns:
        return
    column = columns[0]
    held = table[(table["metric"] == column.metric) & (table["variant"] == column.variant)]
    held = held[(held["quantity"] == column.quantity) & held["value"].notna()]
    held = held.assign(steps=held["method"].map(steps_of).astype("float64"))
    models = [
        model
        for model in models_of(held)
        if held[held["model"] == model]["steps"].nunique() > 1
    ]
    if not models:
        return
    figure, axes = panels(len(models), columns=3, width=3.3, height=2.7)
    for axis, model in zip(axes, models, strict=True):
        _panel(axis, held[held["model"] == model], model)
    axes[0].set_ylabel(column.label)
    legend(figure, axes)
    yield save(figure, folder, "steps", "Completeness against steps", CAPTION)


def _panel(axis: Axes, part: pd.DataFrame, model: str) -> None:
    gradients = part[part["steps"].notna()].sort_values("steps")
    low, high = gradients["value"] - gradients["low"], gradients["high"] - gradients["value"]
    axis.errorbar(
        gradients["steps"],
        gradients["value"],
        yerr=[low.clip(lower=0), high.clip(lower=0)],
        color=COLOURS[1],
        marker="o",
        capsize=3,
        label="Integrated Gradients",
    )
    for line in part[part["method"] == "ILIN"].itertuples():
        axis.axhline(max(line.value, 1e-16), color=COLOURS[0], lw=2, label="ILIN")
        if line.low > 0:
            axis.axhspan(line.low, line.high, color=COLOURS[0], alpha=0.2, lw=0)
    axis.set(xscale="log", yscale="log", xlabel="steps", title=model)
    steps = gradients["steps"].astype(int)
    axis.set_xticks(steps, [str(step) for step in steps])
    axis.minorticks_off()
