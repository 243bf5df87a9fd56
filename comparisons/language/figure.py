"""The coloured text as a picture: tokens, their numbers, the scale, the predictions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from comparisons.colours import shade, truncated_map
from comparisons.language.statements import statements
from comparisons.language.tokens import visible

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from comparisons.language.contributions import TokenContributions

__all__ = ["save_figure"]

WIDTH, MARGIN = 8.0, 0.25  # inches, as everything below
LINE, TOP, BOTTOM = 0.62, 0.85, 1.95  # a line of text; the title; what stands under the text
TOKEN_SIZE, NUMBER_SIZE = 13.0, 8.5  # points
WIDE = 0.602 / 72  # inches of a DejaVu Sans Mono character for each point of its size


class Cell(NamedTuple):
    """A token's place: left edge, line from the top, width."""

    left: float
    line: int
    width: float


def save_figure(found: TokenContributions, path: Path) -> Path:
    """Draw and save a PNG."""
    cells = _cells(found)
    height = TOP + LINE * (cells[-1].line + 1) + BOTTOM
    figure = plt.figure(figsize=(WIDTH, height))
    canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    canvas.set_axis_off()
    _write_title(canvas, found, height)
    for token, value, cell in zip(
        found.tokens, found.contributions.tolist(), cells, strict=True
    ):
        _draw_token(canvas, token, value, cell, found.largest, height)
    _write_facts(canvas, found)
    _draw_scale(figure.add_axes(_place(0.4, 1.3, 3.3, 0.16, height)), found)
    if found.predictions:
        _draw_predictions(figure.add_axes(_place(5.6, 0.3, 1.7, 1.3, height)), found)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box
        figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _cells(found: TokenContributions) -> list[Cell]:
    """Tokens beside each other, in a new line where the width ends."""
    cells: list[Cell] = []
    left, line = MARGIN, 0
    for token, value in zip(found.tokens, found.contributions.tolist(), strict=True):
        width = max(
            (len(visible(token)) + 0.3) * WIDE * TOKEN_SIZE,
            (len(f"{value:+.2f}") + 1.0) * WIDE * NUMBER_SIZE,
        )
        if left + width > WIDTH - MARGIN and left > MARGIN:
            left, line = MARGIN, line + 1
        cells.append(Cell(left, line, width))
        left += width
    return cells


def _write_title(canvas: Axes, found: TokenContributions, height: float) -> None:
    title = f"Contributions to the {found.question}"
    size = min(12.0, 1.85 * WIDTH * 72 / len(title))
    canvas.text(MARGIN, height - 0.32, title, fontsize=size, parse_math=False)
    canvas.text(MARGIN, height - 0.58, found.model, fontsize=9, color="0.35", parse_math=False)


def _draw_token(
    canvas: Axes, token: str, value: float, cell: Cell, limit: float, height: float
) -> None:
    background, ink = shade(value, limit)
    base = height - TOP - LINE * cell.line - 0.3
    canvas.add_patch(Rectangle((cell.left, base), cell.width, 0.3, color=background, lw=0))
    text = visible(token)
    letters = text.lstrip(" ")  # leading blanks have no ink, so they are left by hand
    start = (cell.width - len(text) * WIDE * TOKEN_SIZE) / 2
    canvas.text(
        cell.left + start + (len(text) - len(letters)) * WIDE * TOKEN_SIZE,
        base + 0.15,
        letters,
        color=ink,
        size=TOKEN_SIZE,
        family="monospace",
        va="center_baseline",
        parse_math=False,
    )
    canvas.text(
        cell.left + cell.width / 2,
        base - 0.04,
        f"{value:+.2f}",
        size=NUMBER_SIZE,
        family="monospace",
        color="0.25",
        ha="center",
        va="top",
    )


def _write_facts(canvas: Axes, found: TokenContributions) -> None:
    """The sum, two statements in a line."""
    said = [f"{what} = {much}" for what, much in statements(found)]
    lines = ["    ".join(said[:3]), *said[3:5]]
    for number, line in enumerate(lines):
        canvas.text(MARGIN, 0.62 - 0.19 * number, line, fontsize=8, parse_math=False)


def _draw_scale(axis: Axes, found: TokenContributions) -> None:
    colours = plt.cm.ScalarMappable(Normalize(-found.largest, found.largest), truncated_map())
    bar = axis.figure.colorbar(colours, cax=axis, orientation="horizontal")
    bar.set_ticks([-found.largest, 0, found.largest])
    bar.set_ticklabels([f"−{found.largest:.2f}", "0", f"+{found.largest:.2f}"])
    bar.set_label(f"against  ←  {found.unit}  →  for", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _draw_predictions(axis: Axes, found: TokenContributions) -> None:
    """Bars of the most probable next tokens."""
    tokens, chances = zip(*found.predictions, strict=True)
    places = list(range(len(tokens)))[::-1]
    axis.barh(places, chances, color="0.6", height=0.7)
    axis.set_yticks(places, [f'"{visible(token)}"' for token in tokens], family="monospace")
    for label in axis.get_yticklabels():
        label.set_parse_math(False)
    for place, chance in zip(places, chances, strict=True):
        axis.text(chance, place, f" {chance:.1%}", va="center", fontsize=8)
    axis.tick_params(labelsize=8, length=0)
    axis.set_xticks([])
    axis.set_title("most probable next tokens", fontsize=8, loc="left", pad=3)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _place(
    left: float, bottom: float, width: float, tall: float, height: float
) -> tuple[float, float, float, float]:
    """Inches as the fractions of the figure that matplotlib wants."""
    return (left / WIDTH, bottom / height, width / WIDTH, tall / height)
