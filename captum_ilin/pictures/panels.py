"""Maps beside each other, in one colour scale that is symmetric about zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from captum_ilin.pictures.colours import SIGNED_MAP
from captum_ilin.pictures.drawing import WIDTH, blank, plain, saved, titled, wrapped
from captum_ilin.pictures.errors import PictureInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["SIDES", "Panel", "Scale", "colour_bar", "draw_panel", "panel_figure"]

MOST = 64  # panels of a figure; more are too small to see
SIDE, LINE = 2.7, 0.16  # inches: the largest panel; a line of text above one
SIDES = "\nagainst  ←      →  for"  # a second line beside the scale of contributions
BEYOND = 0.005  # of all values may lie beyond a scale's end
BAR = 1.0  # inches that the colour bar takes
PALE = 0.55  # how much of a picture is left under an overlay


class Panel(NamedTuple):
    """One tile: a signed map, a picture, a map over a picture, or an empty place.

    Attributes:
        title: above it.
        values: (height, width), drawn in the figure's scale.
        picture: (height, width) or (height, width, 3) in 0–1.
    """

    title: str
    values: Tensor | None = None
    picture: Tensor | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether the place is not empty."""
        return self.values is not None or self.picture is not None

    @property
    def slenderness(self) -> float:
        """Height over width."""
        shown = self.values if self.values is not None else self.picture
        assert shown is not None
        return shown.shape[0] / shown.shape[1]


@dataclass(frozen=True)
class Scale:
    """From −limit, blue, through 0, white, to limit, red.

    Attributes:
        limit: greater than 0.
        label: what is drawn, and its unit.
        is_clipped: whether values lie beyond; then the bar has pointed ends.
    """

    limit: float
    label: str
    is_clipped: bool = False

    @classmethod
    def of(cls, maps: Sequence[Tensor], label: str, limit: float | None = None) -> Scale:
        """The scale that all maps share.

        Args:
            maps: what is drawn in it.
            label: what is drawn, and its unit.
            limit: its end; None lets ``BEYOND`` of all values lie beyond, so that a few
                do not make the rest pale; inf takes the largest size of a value.

        Raises:
            PictureInputError: the limit is not positive.
        """
        sizes = torch.cat([values.abs().flatten() for values in maps])
        largest = float(sizes.max())
        if limit is None:
            limit = float(sizes.sort().values[math.ceil((1 - BEYOND) * len(sizes)) - 1])
            limit = limit or largest or 1.0
        elif limit == math.inf:
            limit = largest or 1.0
        if not limit > 0:
            raise PictureInputError(
                f"limit must be greater than 0, because it is the end of a scale from −limit "
                f"to limit, but got {limit}. Leave it out, or pass math.inf for the largest "
                "value."
            )
        return cls(float(limit), label, is_clipped=largest > limit)


def panel_figure(
    panels: Sequence[Panel],
    scale: Scale,
    *,
    columns: int,
    title: str,
    save: str | Path | None,
) -> Figure:
    """All panels, the colour bar and the title."""
    _check_count(sum(panel.is_drawn for panel in panels))
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    side = min(SIDE, (WIDTH - BAR) / columns)
    width = max(side * columns + BAR, 4.5)
    tall = max(panel.slenderness for panel in panels if panel.is_drawn)
    lines = 1 + max(panel.title.count("\n") for panel in panels)
    height = rows * (side * tall + LINE * (lines + 0.8)) + 0.35
    figure = blank(width, height, layout="constrained")
    titled(figure, title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        draw_panel(axis, panel, scale)
    colour_bar(figure, list(axes), scale)
    return saved(figure, save)


def _check_count(count: int) -> None:
    """Raise PictureInputError for more panels than can be seen."""
    if count > MOST:
        raise PictureInputError(
            f"A picture has {MOST} panels at most, because smaller ones cannot be read, but "
            f"{count} were asked for. Choose some of them by index."
        )


def draw_panel(axis: Axes, panel: Panel, scale: Scale) -> None:
    """One tile."""
    plain(axis)
    axis.set_title(panel.title, pad=4)
    if panel.picture is not None:
        picture = panel.picture
        if panel.values is not None:
            grey = picture.mean(-1) if picture.dim() == 3 else picture
            picture = 1 - PALE * (1 - grey)
        axis.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if panel.values is not None:
        height, width = (panel.values if panel.picture is None else panel.picture).shape[:2]
        covered = panel.values.abs() / scale.limit
        axis.imshow(
            panel.values.numpy(),
            cmap=SIGNED_MAP,
            vmin=-scale.limit,
            vmax=scale.limit,
            interpolation="nearest",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            alpha=None if panel.picture is None else covered.clamp(0, 1).sqrt().numpy(),
        )
        for spine in axis.spines.values():  # white at the edge is a value, not the paper
            spine.set(visible=True, color="0.8", linewidth=0.6)


def colour_bar(figure: Figure, axes: list[Axes], scale: Scale) -> None:
    """The scale beside the axes, with its ends, its zero and its unit."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(-scale.limit, scale.limit), SIGNED_MAP),
        ax=axes,
        extend="both" if scale.is_clipped else "neither",
        aspect=25,
        fraction=0.05,
        pad=0.02,
    )
    bar.outline.set_visible(False)
    width = figure.get_figheight() - 0.5
    bar.set_label("\n".join(wrapped(line, width, 9) for line in scale.label.split("\n")))
