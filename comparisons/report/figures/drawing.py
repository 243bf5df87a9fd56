"""How every figure looks and is saved: colours that all can tell apart, the same bytes for the
same numbers."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from comparisons.report.columns import method_order

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from comparisons.report.columns import Column

__all__ = [
    "Figure",
    "Look",
    "control_looks",
    "legend",
    "looks",
    "panels",
    "save",
    "shown",
    "titled",
]

# Okabe and Ito's colours, "Color Universal Design" (2008), without the pale yellow
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
CONTROL_DASHES: tuple[Any, ...] = (
    "-",
    (0, (10, 3)),
    (0, (3, 3)),
    (0, (1, 1.5)),
    (0, (6, 2, 1, 2)),
)
MARKERS = "osD^vPX"
LABEL = 32  # characters of a line of the legend
WIDEST = 52  # characters that stand above a panel
SHOWN: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "comparisons",
    "pdf.fonttype": 42,  # fonts as journals take them
}


@dataclass(frozen=True)
class Figure:
    """A figure that was saved.

    Attributes:
        name: its files' name without ending.
        title, caption: what it shows, and how it is to be read.
        png: the picture; a PDF lies beside it.
    """

    name: str
    title: str
    caption: str
    png: Path


@dataclass(frozen=True)
class Look:
    """How a method is drawn, the same in every figure of a report."""

    colour: str
    dash: Any
    marker: str
    width: float


def looks(methods: list[str]) -> dict[str, Look]:
    """method → its look; the first methods differ in colour, later ones in dashes too."""
    return {
        method: Look(
            COLOURS[place % len(COLOURS)],
            DASHES[place // len(COLOURS) % len(DASHES)],
            MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
            2.2 if method == "ILIN" else 1.2,
        )
        for place, method in enumerate(methods)
    }


def shown() -> AbstractContextManager[None]:
    """Within it everything is drawn in the report's style."""
    return plt.rc_context(SHOWN)


def control_looks(methods: list[str]) -> dict[str, Look]:
    """control → its look: thin and grey, told apart by dashes."""
    return {
        method: Look("0.45", CONTROL_DASHES[place % len(CONTROL_DASHES)], "", 0.9)
        for place, method in enumerate(methods)
    }


def titled(axis: Axes, column: Column) -> None:
    """Above a panel the metric with its arrow, and below it quantity and variant."""
    axis.set_title(f"{column.metric} {column.direction.arrow}".strip(), pad=16)
    detail = column.detail if len(column.detail) <= WIDEST else f"{column.detail[:WIDEST]}…"
    axis.text(
        0.5, 1.02, detail, transform=axis.transAxes, ha="center", va="bottom",
        fontsize=7.5, color="0.35",
    )  # fmt: skip


def legend(figure: Drawing, axes: list[Axes]) -> None:
    """One legend for all panels, in the tables' order, below them in columns.

    The figure grows by the legend's height, so the panels keep theirs.
    """
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    ordered = sorted(handles, key=lambda label: method_order(label.partition(" = ")[0]))
    labels = [textwrap.fill(label, LABEL, break_on_hyphens=False) for label in ordered]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    columns = max(1, int(figure.get_figwidth() / (0.5 + 0.075 * longest)))
    columns = min(columns, len(labels))
    rows = -(-len(labels) // columns) + max(label.count("\n") for label in labels)
    figure.set_figheight(figure.get_figheight() + 0.2 * rows + 0.1)
    figure.legend(
        [handles[label] for label in ordered],
        labels,
        loc="outside lower center",
        ncols=columns,
    )


def panels(
    count: int, *, columns: int, width: float = 3.4, height: float = 2.6, **shared: Any
) -> tuple[Drawing, list[Axes]]:
    """A figure with so many panels; the places left over are empty."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        squeeze=False,
        layout="constrained",
        **shared,
    )
    flat = list(axes.flat)
    for axis in flat[count:]:
        axis.axis("off")
    for axis in flat[count - columns : count]:
        axis.tick_params(labelbottom=True)  # where axes are shared and none is below
    return figure, flat[:count]


def save(
    figure: Drawing, folder: Path, name: str, title: str, caption: str, dpi: int = 150
) -> Figure:
    """PNG for the page, PDF for a paper, without dates."""
    clean = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    folder.mkdir(parents=True, exist_ok=True)
    png = folder / f"{clean}.png"
    figure.savefig(png, dpi=dpi, metadata={"Software": None})
    figure.set_layout_engine("none")  # keeps the layout just found, and the time to find it
    undated = {"CreationDate": None, "Producer": None, "Creator": None}
    figure.savefig(folder / f"{clean}.pdf", metadata=undated)
    plt.close(figure)
    return Figure(clean, title, caption, png)
