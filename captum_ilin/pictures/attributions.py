"""``attribution_maps`` and ``templates``: what each pixel contributes, and what it weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.pictures.drawing import styled
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.images import in_blocks, maps_of, one_row, over_channels, pictures_of
from captum_ilin.pictures.numbers import drawable, labels_for, written_like
from captum_ilin.pictures.panels import Panel, panel_figure
from captum_ilin.pictures.scale import SIDES, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["attribution_maps", "templates"]


@styled()
def attribution_maps(
    attributions: Tensor,
    images: Tensor | None = None,
    *,
    row: int | None = None,
    labels: Sequence[str] | None = None,
    overlay: bool = False,
    block: int = 1,
    limit: float | None = None,
    unit: str = "logit",
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """Signed attributions of images, each beside its image, all in one scale.

    Red pixels speak for the output and blue ones against it. Channels are summed, so that the
    pixels of a map add up to the sum that stands above it.

    Args:
        attributions: W ∘ x or another method's, (batch, channels, height, width),
            (batch, height, width) or (height, width), in the output's unit.
        images (optional): drawn beside the maps; shaped alike with one or three channels,
            in 0–1 or in uint8.
        row (int, optional): draw this example only. Default: None, every one.
        labels (optional): a text for each example of the batch. Default: "example 0", …
        overlay (bool, optional): lay each map over its image in grey, the more opaque the
            larger a value. Colours are then mixed with grey: read sizes without it.
        block (int, optional): add up squares of so many pixels, which keeps every sum: a map
            of a photograph is easier to read so. Default: 1.
        limit (float, optional): the end of the scale, in the output's unit. Default: None,
            so that 0.5 % of the values lie beyond: they have the end's colour, and the colour
            bar pointed ends. ``math.inf`` takes the largest value.
        unit (str, optional): of the output. Default: "logit".
        title (str, optional): over the figure.
        save (optional): a file to write, in the format of its ending.

    Returns:
        The figure, not shown. ``figure.savefig`` writes it again.

    Raises:
        PictureInputError: shapes or ranges that cannot be drawn.
        PictureFileError: the file's folder does not exist, or its ending names no format.
        PicturePackageError: matplotlib is not installed.

    Captum's ``visualize_image_attr`` is not used: it divides every map by a percentile of its
    own, so that no two maps share a scale and no colour has a unit.

    >>> import torch
    >>> from captum_ilin import linearize, pictures
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> x = torch.rand(2, 1, 8, 8)
    >>> attributions = linearize(model, x).weight(target=3) * x
    >>> figure = pictures.attribution_maps(attributions, x, labels=["first", "second"])
    >>> len(figure.axes)  # two images, two maps, the colour bar
    5
    """
    found = maps_of(attributions, "attributions")
    shown = None if images is None else pictures_of(images, found)
    maps = one_row(found, row, "attributions")
    names = labels_for(labels, len(found), "example")
    names = names if row is None else names[row : row + 1]
    if shown is None and overlay:
        raise PictureInputError(
            "overlay=True lays the maps over images, but no images were given. Pass them as "
            "the second argument."
        )
    maps = in_blocks(maps, block)
    panels = _maps(maps, names if shown is None else ["attributions"] * len(maps))
    columns = min(4, len(maps))
    if shown is not None:
        seen = list(one_row(shown, row, "images"))
        under = [
            panel._replace(picture=image) for panel, image in zip(panels, seen, strict=True)
        ]
        above = [Panel(name, picture=image) for name, image in zip(names, seen, strict=True)]
        panels = _in_bands(above, under if overlay else panels, columns)
        columns = max(columns, 2)
    each = "attribution" if block == 1 else f"attribution of {block}×{block} pixels"
    scale = Scale.of(list(maps), f"{each}, {unit}{SIDES}", limit)
    return panel_figure(
        panels,
        scale,
        columns=columns,
        title=title or _title(attributions),
        save=save,
    )


def _maps(maps: Tensor, names: Sequence[str]) -> list[Panel]:
    sums = [float(values.sum()) for values in maps]
    write = written_like(sums)
    return [
        Panel(f"{name}\nsum {write(total)}", values)
        for name, total, values in zip(names, sums, maps, strict=True)
    ]


def _in_bands(above: list[Panel], below: list[Panel], columns: int) -> list[Panel]:
    """A row of images, the row of their maps, and so on; of one example side by side."""
    if columns == 1:
        return [*above, *below]
    found: list[Panel] = []
    for first in range(0, len(above), columns):
        for band in (above, below):
            part = band[first : first + columns]
            found += part + [Panel("")] * (columns - len(part))
    return found


def _title(attributions: Tensor) -> str:
    several = attributions.dim() == 4 and attributions.shape[1] > 1
    return "Attributions, summed over channels" if several else "Attributions"


TEMPLATES = {
    3: "(targets, height, width)",
    4: "(targets, channels, height, width)",
    5: "(batch, targets, channels, height, width)",
}


@styled()
def templates(
    weights: Tensor,
    *,
    row: int = 0,
    labels: Sequence[str] | None = None,
    limit: float | None = None,
    unit: str = "logit",
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """Rows of W as images: what the network, held at this input, would respond to most.

    F_t(x) = ⟨W_t, x⟩ + b_t: a red pixel raises output t as it becomes brighter, a blue one
    as it becomes darker. Channels are summed.

    Args:
        weights: several rows of W at one input, (targets, channels, height, width) or
            (targets, height, width); or of a batch, (batch, targets, channels, height,
            width), as ``AffineMap.weight()`` gives them.
        row (int, optional): the example of a batch. Default: 0.
        labels (optional): a text for each target. Default: "output 0", …
        limit, title, save (optional): as in `attribution_maps`.
        unit (str, optional): of the output. Default: "logit".

    Returns:
        The figure, not shown.

    Raises:
        PictureInputError, PictureFileError, PicturePackageError: as in `attribution_maps`.

    >>> import torch
    >>> from captum_ilin import linearize, pictures
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> affine_map = linearize(model, torch.rand(1, 1, 8, 8))
    >>> figure = pictures.templates(affine_map.weight())
    >>> len(figure.axes)  # ten templates and the colour bar
    11
    """
    found = drawable(weights, "weights", TEMPLATES)
    if found.dim() == 5:
        found = one_row(found, row, "weights")[0]
    maps = over_channels(found)
    names = labels_for(labels, len(maps), "output")
    return panel_figure(
        [Panel(name, values) for name, values in zip(names, maps, strict=True)],
        Scale.of(list(maps), f"weight, {unit} per unit of input", limit),
        columns=min(5, len(maps)) if len(maps) > 4 else 4,
        title=title or "Rows of W: how each output depends on each pixel",
        save=save,
    )
