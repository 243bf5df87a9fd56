"""The attribution grid: a row for each example, a column for each method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import TwoSlopeNorm

from comparisons.colours import SIGNED_MAP

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from torch import Tensor

    from comparisons.models import Network

__all__ = ["save_grid"]

ROWS = 5


def save_grid(
    folder: Path,
    network: Network,
    methods: list[str],
    maps: dict[tuple[str, str], list[Tensor | None]],
    rows: list[dict[str, Any]],
) -> Path:
    """Draw and save ``attributions_<model>.png``.

    Every map is summed over channels and drawn on its own symmetric scale, the 99th
    percentile of |φ|; the completeness error stands under it.
    """
    count = min(ROWS, len(network.inputs))
    figure, axes = plt.subplots(
        count,
        len(methods) + 1,
        figsize=(1.9 * (len(methods) + 1), 1.93 * count + 0.6),
        squeeze=False,
        layout="constrained",
    )
    for example in range(count):
        _draw_image(axes[example, 0], network, example)
        for column, method in enumerate(methods, start=1):
            row = _row(rows, network.name, method, example)
            _draw_map(axes[example, column], maps[network.name, method][example], row)
    for axis, title in zip(axes[0], ["input", *methods], strict=True):
        axis.set_title(title, fontsize=10, pad=8)
    scale = plt.cm.ScalarMappable(TwoSlopeNorm(0, -1, 1), SIGNED_MAP)
    bar = figure.colorbar(scale, ax=axes, shrink=0.5, aspect=30, pad=0.015, ticks=[-1, 0, 1])
    bar.set_ticklabels(["against", "0", "for"])
    bar.outline.set_visible(False)
    figure.suptitle(
        f"{network.name}: contributions to the predicted class, summed over channels",
        fontsize=11,
    )
    path = folder / f"attributions_{network.name}.png"
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path


def _draw_image(axis: Axes, network: Network, example: int) -> None:
    assert network.images is not None
    axis.imshow(network.images[example], cmap="gray_r", interpolation="nearest")
    axis.set_xlabel(network.labels[example], fontsize=9)
    _bare(axis)


def _draw_map(axis: Axes, attributions: Tensor | None, row: dict[str, Any]) -> None:
    _bare(axis)
    if attributions is None:
        axis.text(0.5, 0.5, "failed", ha="center", va="center", transform=axis.transAxes)
        axis.set_xlabel(str(row["error"]).partition(":")[0], fontsize=8)
        return
    values = attributions.sum(0).numpy()
    limit = float(np.percentile(np.abs(values), 99)) or 1.0
    axis.imshow(values, cmap=SIGNED_MAP, vmin=-limit, vmax=limit, interpolation="nearest")
    axis.set_xlabel(_caption(row), fontsize=8)


def _caption(row: dict[str, Any]) -> str:
    if row["declared_error"] is None:
        return "claims no sum"
    error = f"error {abs(row['declared_error'] / row['value']):.0e} of F"
    return error if row["bias"] is None else f"{error}, b {row['bias'] / row['value']:+.1f} F"


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color("0.8")


def _row(rows: list[dict[str, Any]], model: str, method: str, example: int) -> dict[str, Any]:
    wanted = (model, method, example)
    return next(r for r in rows if (r["model"], r["method"], r["example"]) == wanted)
