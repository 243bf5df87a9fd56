"""The pictures of a map: loadings beside it, a pair explained, moves against their error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import Normalize
from matplotlib.patches import ConnectionPatch

from captum_ilin.pictures import SIGNED_MAP
from comparisons.embedding.loadings import loadings_of
from comparisons.embedding.moves import move
from comparisons.embedding.pair import pair_of
from comparisons.picture import few_colours

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from comparisons.embedding.loadings import Loadings
    from comparisons.embedding.pair import Pair
    from comparisons.models.tsne_data import Points

__all__ = ["representatives", "save_figures"]

# Okabe and Ito's colours, and three more; each class is named on the map as well
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#4D4D4D", "#882255", "#B8A800", "#332288"),
)
SHOWN: Any = {"font.size": 9, "savefig.dpi": 110, "axes.titlesize": 9}
GRID = tuple(2.0**power for power in range(-4, 9))
CURVES = 10


class Drawn(NamedTuple):
    """What the pictures are of: the held-out points of one encoder."""

    encoder: nn.Module
    points: Points
    coordinates: np.ndarray  # of all held-out points
    chosen: list[int]  # one of each class
    loadings: Loadings  # of the chosen


def save_figures(folder: Path, encoder: nn.Module, points: Points) -> list[Path]:
    """Draw and save ``embedding.png``, ``pair.png`` and, of ReLU encoders, ``moves.png``."""
    with torch.no_grad():
        coordinates = encoder(points.test).numpy()
    chosen = representatives(coordinates, points.test_labels.numpy())
    loadings = loadings_of(encoder, points.test[chosen])
    drawn = Drawn(encoder, points, coordinates, chosen, loadings)
    with plt.rc_context(SHOWN):
        return [
            _saved(_embedding(drawn), folder / "embedding.png"),
            _saved(_pair(drawn), folder / "pair.png"),
            _saved(_moves(drawn), folder / "moves.png"),
        ]


def representatives(coordinates: np.ndarray, labels: np.ndarray) -> list[int]:
    """Of each class, the point nearest to the medians of its coordinates."""
    found = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        off = coordinates[rows] - np.median(coordinates[rows], 0)
        found.append(int(rows[np.square(off).sum(1).argmin()]))
    return found


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
    path.write_bytes(few_colours(path))
    return path


def _embedding(drawn: Drawn) -> Figure:
    figure = plt.figure(figsize=(11, 7.2))
    centre = figure.add_axes((0.315, 0.15, 0.4, 0.76))
    _scatter(centre, drawn)
    weight = drawn.loadings.weight[:, :, 0] * drawn.points.train.std(0)[0].double()
    limit = float(weight.abs().max())
    order = np.argsort(drawn.coordinates[drawn.chosen, 0])
    half = len(order) // 2
    for side, places in (("left", order[:half]), ("right", order[half:])):
        by_height = sorted(places, key=lambda place: -drawn.coordinates[drawn.chosen[place], 1])
        for row, place in enumerate(by_height):
            images = (drawn.loadings.points[place, 0], weight[place, 0], weight[place, 1])
            group = _group(figure, side, row, len(by_height), images, limit)
            _connect(figure, centre, group, drawn, place, side)
    _scale(
        figure, (0.365, 0.055, 0.3, 0.018), limit, "map units for one deviation of the pixel"
    )
    figure.suptitle(
        f"{drawn.points.title}, held out: a map, and the loadings of ten of its points",
        fontsize=11,
    )
    return figure


def _scatter(axis: Axes, drawn: Drawn) -> None:
    labels = drawn.points.test_labels.numpy()
    for label, name in enumerate(drawn.points.classes):
        rows = labels == label
        colour = COLOURS[label % len(COLOURS)]
        across, up = drawn.coordinates[rows].T
        axis.scatter(across, up, s=9, color=colour, alpha=0.8, lw=0)
        place = drawn.coordinates[drawn.chosen[label]]
        axis.plot(*place, "o", ms=8, mfc="none", mec="black", mew=1.2, zorder=3)
        text = axis.annotate(
            name, place, (6, 6), textcoords="offset points", weight="bold", zorder=4
        )
        text.set_bbox({"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.8})
    axis.set_xlabel("axis 1 (map units)")
    axis.set_ylabel("axis 2 (map units)")
    axis.set_aspect("equal", "datalim")


def _group(
    figure: Figure,
    side: str,
    row: int,
    rows: int,
    images: tuple[Tensor, Tensor, Tensor],
    limit: float,
) -> Axes:
    """Image and two loadings beside each other; the axes nearest to the map."""
    tall, wide = 0.76 / rows, 0.078
    found = []
    for column, image in enumerate(images):
        left = (0.008 if side == "left" else 0.752) + column * (wide + 0.003)
        axis = figure.add_axes((left, 0.91 - (row + 1) * tall, wide, tall * 0.86))
        _show(axis, image, None if column == 0 else limit)
        found.append(axis)
    if row == 0:
        for axis, title in zip(found, ("image", "axis 1", "axis 2"), strict=True):
            axis.set_title(title)
    return found[-1 if side == "left" else 0]


def _show(axis: Axes, image: Tensor, limit: float | None) -> None:
    """A signed image on a symmetric scale, or a grey one."""
    if limit is None:
        axis.imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1)
    else:
        axis.imshow(image.numpy(), cmap=SIGNED_MAP, vmin=-limit, vmax=limit)
    axis.set_xticks([])
    axis.set_yticks([])


def _connect(
    figure: Figure, centre: Axes, group: Axes, drawn: Drawn, place: int, side: str
) -> None:
    figure.add_artist(
        ConnectionPatch(
            (1.0 if side == "left" else 0.0, 0.5),
            tuple(drawn.coordinates[drawn.chosen[place]]),
            "axes fraction",
            "data",
            axesA=group,
            axesB=centre,
            color=COLOURS[place % len(COLOURS)],
            lw=0.8,
        )
    )


def _scale(
    figure: Figure, place: tuple[float, float, float, float], limit: float, unit: str
) -> None:
    colours = plt.cm.ScalarMappable(Normalize(-limit, limit), SIGNED_MAP)
    bar = figure.colorbar(colours, cax=figure.add_axes(place), orientation="horizontal")
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _pair(drawn: Drawn) -> Figure:
    """The two classes whose representatives are nearest."""
    first, second = _nearest(drawn.coordinates[drawn.chosen])
    pair = pair_of(drawn.loadings, first, second)
    names = [drawn.points.classes[place] for place in (first, second)]
    parts = [pair.along(part)[0] for part in (pair.by_features, pair.by_loadings)]
    limit = max(float(part.abs().max()) for part in parts)
    figure, axes = plt.subplots(1, 5, figsize=(11, 3))
    figure.subplots_adjust(0.01, 0.24, 0.97, 0.76, 0.14)
    axes[4].set_position((0.845, 0.28, 0.14, 0.44))
    for axis, place, name in zip(axes, (first, second), names, strict=False):
        _show(axis, drawn.loadings.points[place, 0], None)
        axis.set_title(name)
    titles = ("what the pixels differ by", "alike pixels weighed otherwise")
    for axis, part, title in zip(axes[2:], parts, titles, strict=False):
        _show(axis, part, limit)
        axis.set_title(f"{title}\n{float(part.sum()):+.1f}", fontsize=8.5)
    _bars(axes[4], pair)
    _scale(figure, (0.42, 0.15, 0.33, 0.03), limit, "map units along the line that joins them")
    figure.suptitle(
        f"Why {names[0]} and {names[1]} lie {pair.distance:.1f} map units apart", fontsize=11
    )
    return figure


def _nearest(coordinates: np.ndarray) -> tuple[int, int]:
    apart = np.square(coordinates[:, None] - coordinates).sum(2)
    np.fill_diagonal(apart, np.inf)
    first, second = np.unravel_index(apart.argmin(), apart.shape)
    return int(first), int(second)


def _bars(axis: Axes, pair: Pair) -> None:
    names = ("pixels", "weighing", "bias", "distance")
    parts = (pair.by_features, pair.by_loadings, pair.by_bias)
    lengths = [*(float(pair.along(part).sum()) for part in parts), pair.distance]
    places = range(len(names))[::-1]
    axis.barh(places, lengths, color=["0.6"] * 3 + ["0.2"])
    axis.set_yticks(places, names)
    axis.axvline(0, color="black", lw=0.8)
    for place, length in zip(places, lengths, strict=True):
        axis.text(max(length, 0), place, f" {length:+.1f}", va="center", fontsize=8)
    axis.margins(x=0.25)
    axis.set_title("the distance, in map units")
    for spine in ("top", "right"):
        axis.spines[spine].set_visible(False)


def _moves(drawn: Drawn) -> Figure:
    """Error of the map against the step, for the chosen points and both axes."""
    figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for label, point in enumerate(drawn.chosen[:CURVES]):
        for number in (1, 2):
            found = move(drawn.encoder, drawn.points.test[point : point + 1], number, GRID)
            axis.plot(
                GRID,
                np.maximum(found.beyond, 1e-17),
                color=COLOURS[label % len(COLOURS)],
                ls="-" if number == 1 else "--",
                marker=".",
                ms=3,
                lw=0.9,
                label=drawn.points.classes[label] if number == 1 else None,
            )
    axis.axvline(1, color="black", lw=0.8)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel("step, in multiples of the exact exit t*")
    axis.set_ylabel("error of W (x + t d) + b,\nrelative to the way foretold")
    axis.set_title("Moves along loadings (solid: axis 1, dashed: axis 2)")
    axis.legend(fontsize=7, ncols=2, frameon=False)
    axis.grid(color="0.92")
    return figure
