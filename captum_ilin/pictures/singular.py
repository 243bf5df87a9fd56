"""``singular_directions``: the changes of an image that move the outputs most, and where to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.pictures.colours import shade
from captum_ilin.pictures.drawing import saved, styled, titled_figure
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.images import one_row, over_channels
from captum_ilin.pictures.numbers import drawable, labels_for, shortened
from captum_ilin.pictures.panels import Panel, draw_panel, side_of
from captum_ilin.pictures.scale import BAR, Scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from captum_ilin.singular import Singular

__all__ = ["singular_directions"]

COLUMNS = 4  # directions beside each other
LETTERS = 8.5  # of an output's label, in an inch
BARS = 0.2  # inches of a bar
STRONG = 0.75  # of the colour scale: a bar's shade
IMAGES = {
    4: "(k, batch, height, width)",
    5: "(k, batch, channels, height, width)",
}


@styled()
def singular_directions(
    found: Singular,
    *,
    row: int = 0,
    labels: Sequence[str] | None = None,
    most: int = 5,
    unit: str = "logit",
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """The right singular vectors of W as images, and below each the outputs it moves.

    W v_i = s_i u_i: a change of the image by v_i, of norm 1, changes the outputs by s_i u_i,
    which are the bars. A pair (u, v) may be turned round together; here the output that
    moves most goes up.

    Args:
        found: ``affine_map.operator().svd(k)`` for images, k from 1 to 12.
        row (int, optional): the example. Default: 0.
        labels (optional): the name of each output. Default: "output 0", …
        most (int, optional): bars below each image, those of the outputs that move most.
        unit (str, optional): of the outputs. Default: "logit".
        title, save (optional): as in `attribution_maps`.

    Returns:
        The figure, not shown. Images share one scale, and so do bars.

    Raises:
        PictureInputError: the inputs are no images, or there are too many directions.
        PictureFileError, PicturePackageError: as in `attribution_maps`.

    >>> import torch
    >>> from captum_ilin import linearize, pictures
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> W = linearize(model, torch.rand(1, 1, 8, 8)).operator()
    >>> figure = pictures.singular_directions(W.svd(2))
    >>> len(figure.axes)  # two images, two groups of bars, the colour bar
    5
    """
    maps, moves = _one_row(found, row)
    names = labels_for(labels, moves.shape[1], "output")
    columns, bands = min(COLUMNS, len(maps)), -(-len(maps) // COLUMNS)
    tall = maps.shape[1] / maps.shape[2]
    side, bars = side_of(columns, tall), BARS * min(most, moves.shape[1])
    width, height = max(side * columns + BAR, 4.5), bands * (side * tall + bars + 0.75)
    figure = titled_figure(
        width, height, title or "Singular directions of W: what moves the outputs most"
    )
    ratios = [side * tall, bars] * bands
    axes = figure.subplots(2 * bands, columns, squeeze=False, height_ratios=ratios)
    over, under = axes[0::2].ravel(), axes[1::2].ravel()
    for axis in (*over[len(maps) :], *under[len(maps) :]):
        axis.set_axis_off()
    scale = Scale.of(list(maps), "direction v, of norm 1")
    for number, (top, values) in enumerate(zip(over, maps, strict=False)):
        size = f"{float(moves[number].norm()):#.4g}"
        draw_panel(top, Panel(f"v{number + 1}: s = {size}", values), scale)
    _draw_moves(under, moves, [shortened(name, int(LETTERS * side)) for name in names], most)
    for axis in under[: len(maps)]:
        axis.set_xlabel(f"s·u, {unit}")
    scale.draw(figure, list(over))
    return saved(figure, save)


def _one_row(found: Singular, row: int) -> tuple[Tensor, Tensor]:
    """(k, height, width) and s u, (k, outputs), of one example, each pair turned round."""
    if not isinstance(found.V, Tensor):
        raise PictureInputError(
            f"Singular directions are drawn for one image per example, but the map has "
            f"{len(found.V)} inputs. Draw found.V[i] of an image with pictures.templates."
        )
    vectors = drawable(found.V, "V", IMAGES)
    if len(vectors) > 3 * COLUMNS:
        raise PictureInputError(
            f"A picture shows {3 * COLUMNS} singular directions at most, but got "
            f"{len(vectors)}. Ask for fewer: svd(k)."
        )
    maps = over_channels(one_row(vectors.transpose(0, 1), row, "V")[0])
    moves = (found.U * found.S.reshape(*found.S.shape, *[1] * (found.U.dim() - 2)))[:, row]
    moves = moves.detach().to("cpu", torch.float64).flatten(1)
    largest = moves.gather(1, moves.abs().argmax(1, keepdim=True))
    turn = torch.where(largest < 0, -1.0, 1.0).to(moves)
    return maps * turn[:, :, None], moves * turn


def _draw_moves(axes: Iterable[Axes], moves: Tensor, names: list[str], most: int) -> None:
    """Below each image the outputs that move most, the one that moves up most at the top."""
    reach = 1.08 * float(moves.abs().max()) or 1.0
    for axis, each in zip(axes, moves, strict=False):
        chosen = each.abs().argsort(descending=True, stable=True)[:most]
        chosen = chosen[each[chosen].argsort(descending=True, stable=True)]
        for place, number in enumerate(chosen.tolist()):
            _draw_bar(axis, place, float(each[number]), names[number])
        axis.set_yticks([])
        axis.set_ylim(len(chosen) - 0.4, -0.6)
        axis.set_xlim(-reach, reach)
        axis.axvline(0, color="0.4", linewidth=0.8)
        axis.spines["left"].set_visible(False)


def _draw_bar(axis: Axes, place: int, value: float, name: str) -> None:
    """A bar from 0, and its name on the other side of 0."""
    colour = shade(STRONG if value > 0 else -STRONG, 1.0).background
    axis.barh(place, value, height=0.7, color=colour)
    side = "right" if value > 0 else "left"
    axis.text(0, place, f" {name} ", ha=side, va="center", fontsize=7.5)
