"""Maps beside each other, in one colour scale that is symmetric about zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from captum_ilin.pictures.colours import SIGNED_MAP
from captum_ilin.pictures.drawing import WIDTH, plain, saved, titled_figure, wrapped
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.scale import BAR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from captum_ilin.pictures.scale import Scale

__all__ = ["Panel", "draw_panel", "panel_figure", "side_of"]

MOST = 64  # panels of a figure; more are too small to see
SIDE, LINE = 2.7, 0.16  # inches: how high a panel is; a line of text above one
NARROWEST, LOWEST = 4.5, 1.8  # inches
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
    tall = max(panel.slenderness for panel in panels if panel.is_drawn)
    side = side_of(columns, tall)
    panels = [panel._replace(title=_lines(panel.title, side)) for panel in panels]
    heads = 1 + max(panel.title.count("\n") for panel in panels)
    height = rows * (side * tall + LINE * (heads + 0.8))
    figure = titled_figure(max(side * columns + BAR, NARROWEST), max(height, LOWEST), title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        draw_panel(axis, panel, scale)
    scale.draw(figure, list(axes))
    return saved(figure, save)


def side_of(columns: int, tall: float) -> float:
    """The width of a panel in inches; ``tall`` is its height over its width."""
    return min((WIDTH - BAR) / columns, max(SIDE / tall, 1.0))


def _lines(title: str, side: float) -> str:
    return "\n".join(wrapped(line, side, 9) for line in title.split("\n"))


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
