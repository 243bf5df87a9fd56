"""The pictures of a run: what has moved, who fails, and what predicts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from captum_ilin.pictures import metric_shifts
from comparisons.embedding.tables import of_kind
from comparisons.geometry.measuring import (
    CONFIDENCE,
    FEATURE_MARGIN,
    IN_BOTH_SPACES,
    INPUT_MARGIN,
)
from comparisons.picture import few_colours
from comparisons.representer.tables import distinct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from captum_ilin.companions.geometry import GeometryShift
    from comparisons.geometry.measuring import Reading
    from comparisons.models.tsne_data import Points

__all__ = ["save_figures"]

COLOURS = {INPUT_MARGIN: "#D55E00", FEATURE_MARGIN: "#0072B2", CONFIDENCE: "#009E73"}
NAMES = {"angle": "angle θ, rad", "norm": "norm ‖X‖", "margin": "margin"}
SHOWN: Any = {"font.size": 9, "savefig.dpi": 110, "axes.titlesize": 8}
FRAGILE = 8


def save_figures(
    folder: Path, records: Sequence[dict[str, Any]], reading: Reading, points: Points
) -> list[Path]:
    """Draw and save ``shifts.png``, ``fragile.png`` and ``prediction.png``."""
    paths = [folder / f"{name}.png" for name in ("shifts", "fragile", "prediction")]
    condition = IN_BOTH_SPACES[0]
    _shifts(reading, condition, points.title, paths[0])
    with plt.rc_context(SHOWN):
        _fragile(reading, condition, points, paths[1])
        _prediction(records, points.title, paths[2])
    for path in paths:
        path.write_bytes(few_colours(path))
    return paths


def _shifts(reading: Reading, condition: str, title: str, path: Path) -> None:
    shift = reading.shifts[condition]
    metric_shifts(
        *(
            {name: getattr(read, metric) for metric, name in NAMES.items()}
            for read in (shift.before, shift.after)
        ),
        failed=shift.has_failed,
        names=("original", condition),
        title=f"{title}, CNN (seed {reading.seed}): before and after, {condition}",
        save=path,
    )


def _fragile(reading: Reading, condition: str, points: Points, path: Path) -> None:
    """The images that were right and have the least margin left."""
    shift = reading.shifts[condition]
    found = shift.fragile(FRAGILE)
    shown = list(zip(*(values.tolist() for values in found), strict=True))
    titles = [_changed(shift, points, *each) for each in shown]
    lines = max((title.count("\n") for title in titles), default=1)
    figure, axes = plt.subplots(1, FRAGILE, figsize=(8.2, 1.7 + 0.15 * lines))
    for axis, title, (row, _, _) in zip(axes, titles, shown, strict=False):
        axis.imshow(points.test[row, 0].numpy(), cmap="gray_r", interpolation="nearest")
        axis.set_title(title)
    for axis in axes:
        axis.set_axis_off()
    figure.suptitle(f"The most fragile, {condition}: prediction, and margin of the label")
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _changed(
    shift: GeometryShift, points: Points, row: int, before: float, after: float
) -> str:
    """What was predicted and is, on one line if that is short, and the margins."""
    first, second = (
        points.classes[int(read.predictions[row])] for read in (shift.before, shift.after)
    )
    space = " " if len(first + second) < 8 else "\n"
    margins = f"{before:.1f} → {after:.1f}".replace("-", "−")
    return f"{first} →{space}{second}\n{margins}"


def _prediction(records: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    conditions = distinct(records, "predictor", "condition")
    figure, axis = plt.subplots(figsize=(8.2, 3.2))
    for number, (name, colour) in enumerate(COLOURS.items()):
        rows = of_kind(records, "predictor", predictor=name)
        places = [place + 0.22 * (number - 1) for place in range(len(rows))]
        areas = [row["area"] for row in rows]
        below = [area - low for area, low, _ in areas]
        above = [high - area for area, _, high in areas]
        axis.errorbar(
            places,
            [area for area, _, _ in areas],
            yerr=[below, above],
            fmt="o",
            color=colour,
            markersize=4,
            linewidth=1.2,
            label=name,
        )
    axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
    axis.set_xticks(range(len(conditions)), conditions, rotation=30, ha="right")
    axis.set_ylabel("AUC")
    axis.grid(axis="y", color="0.92")
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="lower left")
    figure.suptitle(f"{title}: which images fail? What is known before (95 % intervals)")
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
