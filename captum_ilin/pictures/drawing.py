"""How every picture is begun, looks and is saved, without pyplot.

Figures are made as ``matplotlib.figure.Figure``: no window, no backend, nothing left open.
What the user has set in matplotlib's ``rcParams`` neither counts nor changes.
"""

from __future__ import annotations

import textwrap
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ilin.pictures.colours import matplotlib
from captum_ilin.pictures.errors import PictureFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["WIDTH", "blank", "plain", "saved", "styled", "titled_figure", "wrapped"]

WIDTH = 8.0  # inches, the widest: about what a README shows
DPI = 150
LETTER = 0.55  # of a font's size, how wide its letters are on average
LOOK: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.4",
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "text.parse_math": False,  # a label may hold any text, a dollar sign too
    "svg.hashsalt": "captum_ilin",
    "pdf.fonttype": 42,  # fonts as journals take them
}
UNDATED: dict[str, Any] = {  # the same bytes for the same numbers
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it everything is drawn in one look, whatever the user's settings are.

    Raises:
        PicturePackageError: matplotlib is not installed.
    """
    matplotlib()
    from matplotlib import style

    with style.context(["default", LOOK]):
        yield


def blank(width: float, height: float, **options: Any) -> Figure:
    """An empty white figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", **options)


def titled_figure(width: float, height: float, title: str) -> Figure:
    """A figure with a title over ``height`` inches, in as many lines as the width asks for."""
    size = 11.0
    text = wrapped(title, width, size)
    head = 0.15 + 0.2 * (1 + text.count("\n"))
    figure = blank(width, height + head, layout="constrained")
    figure.suptitle(text, fontsize=size)
    return figure


def wrapped(text: str, width: float, size: float) -> str:
    """The text in as many lines as a width in inches asks for, in letters of that size."""
    letters = int(width * 72 / (size * LETTER))
    return textwrap.fill(text, max(letters, 12))


def plain(axis: Axes) -> None:
    """Without frame and ticks."""
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def saved(figure: Figure, save: str | Path | None) -> Figure:
    """The figure, written to a file if one is named.

    Raises:
        PictureFileError: the folder does not exist, or the ending names no format.
    """
    if save is None:
        return figure
    path = Path(save)
    _check(path, figure.canvas.get_supported_filetypes())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box
        figure.savefig(path, metadata=UNDATED.get(path.suffix.lower()))
    return figure


def _check(path: Path, formats: dict[str, str]) -> None:
    if not path.parent.is_dir():
        raise PictureFileError(
            f"The picture cannot be saved as {str(path)!r}, because the folder "
            f"{str(path.parent)!r} does not exist. Make it first."
        )
    if path.suffix.lower().removeprefix(".") not in formats:
        known = ", ".join(f".{ending}" for ending in sorted(formats))
        raise PictureFileError(
            f"The picture's ending must be one of {known}, but the file is {path.name!r}. "
            "Choose one: .png for a page, .pdf or .svg for a paper."
        )
