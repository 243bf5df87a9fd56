"""``category_grids``: signed tables with a name on every row and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.pictures.colours import SIGNED_MAP
from captum_ilin.pictures.drawing import WIDTH, saved, styled, titled_figure
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.numbers import drawable, shortened
from captum_ilin.pictures.scale import BAR, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["category_grids"]

CELL = 0.19  # inches
NAME, LETTER = 14, 0.075  # letters of a name; inches of one
BESIDE = 3  # grids beside each other
SHOWN = {2: "(rows, columns)"}


@styled()
def category_grids(
    grids: Mapping[str, Tensor],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_label: str = "",
    column_label: str = "",
    limit: float | None = None,
    unit: str = "logit",
    title: str = "Terms",
    save: str | Path | None = None,
) -> Figure:
    """Tables of signed values, such as h over positions and categories, or J of two positions.

    Red values speak for the output and blue ones against it, all tables in one scale.

    Args:
        grids: a name above each table → its values (rows, columns), in the output's unit.
        rows, columns: a name for each.
        row_label, column_label (optional): what they are.
        limit (float, optional): the end of the scale. Default: None, so that 0.5 % of the
            values lie beyond; ``math.inf`` takes the largest.
        unit (str, optional): of the values. Default: "logit".
        title (str, optional): over the figure.
        save (optional): a file to write, in the format of its ending.

    Returns:
        The figure, not shown.

    Raises:
        PictureInputError: no tables, or shapes and names that do not fit.
        PictureFileError: the file's folder does not exist, or its ending names no format.
        PicturePackageError: matplotlib is not installed.

    >>> import torch
    >>> from captum_ilin import pictures
    >>> h = torch.tensor([[1.0, -0.5, -0.5], [0.0, 2.0, -2.0]])
    >>> figure = pictures.category_grids({"h": h.T}, rows="HPC", columns=["first", "second"])
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['H', 'P', 'C']
    """
    if not grids:
        raise PictureInputError("There are no grids to draw; expected at least one table.")
    values = {name: _fitting(name, each, rows, columns) for name, each in grids.items()}
    scale = Scale.of(list(values.values()), unit, limit)
    beside = min(BESIDE, len(values))
    bands = -(-len(values) // beside)
    wide = _margin(rows) + CELL * len(columns)
    tall = _margin(columns) + CELL * len(rows) + 0.45
    width = min(WIDTH, max(4.0, beside * wide + BAR))
    shrunk = min(1.0, (width - BAR) / (beside * wide))
    figure = titled_figure(width, max(2.0, bands * tall * max(shrunk, 0.6)), title)
    axes = figure.subplots(bands, beside, squeeze=False).ravel()
    size = max(4.5, 8 * min(1.0, shrunk))
    for axis, (name, each) in zip(axes, values.items(), strict=False):
        _draw(axis, each, scale, rows, columns, size)
        axis.set_title(name)
        axis.set_ylabel(row_label)
        axis.set_xlabel(column_label)
    for axis in axes[len(values) :]:
        axis.set_axis_off()
    scale.draw(figure, list(axes))
    return saved(figure, save)


def _fitting(name: str, values: Tensor, rows: Sequence[str], columns: Sequence[str]) -> Tensor:
    found = drawable(values, f"grid {name!r}", SHOWN)
    if tuple(found.shape) != (len(rows), len(columns)):
        raise PictureInputError(
            f"grid {name!r} must be shaped ({len(rows)}, {len(columns)}), for so many names of "
            f"rows and columns, but got {tuple(found.shape)}. Transpose it, or name each."
        )
    return found


def _margin(names: Sequence[str]) -> float:
    """Inches that the longest name takes."""
    return 0.35 + LETTER * min(NAME, max(map(len, names)))


def _draw(
    axis: Axes,
    values: Tensor,
    scale: Scale,
    rows: Sequence[str],
    columns: Sequence[str],
    size: float,
) -> None:
    axis.imshow(
        values.numpy(),
        cmap=SIGNED_MAP,
        vmin=-scale.limit,
        vmax=scale.limit,
        interpolation="nearest",
        aspect="auto",
    )
    turned = 0 if max(map(len, columns)) <= 2 else 90
    axis.set_xticks(range(len(columns)), [shortened(one, NAME) for one in columns])
    axis.set_yticks(range(len(rows)), [shortened(one, NAME) for one in rows])
    axis.tick_params(axis="x", length=0, labelsize=size, rotation=turned)
    axis.tick_params(axis="y", length=0, labelsize=size)
    for spine in axis.spines.values():
        spine.set_visible(False)
