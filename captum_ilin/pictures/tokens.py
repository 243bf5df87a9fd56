"""``token_text`` and ``token_html``: a text, each token on the colour of its contribution."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import east_asian_width

from captum_ilin.pictures.colours import shade, text_map
from captum_ilin.pictures.drawing import WIDTH, blank, plain, saved, styled
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.numbers import drawable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["token_html", "token_text", "visible"]

MARGIN = 0.25  # inches, as everything below
LINE, TITLE, SUBTITLE = 0.62, 0.6, 0.25  # a line of text; what stands above
SCALE, NOTE, BARS = 1.19, 0.19, 1.95  # below: the scale, a note under it, the predictions
TOKEN_SIZE, NUMBER_SIZE = 13.0, 8.5  # points
WIDE = 0.602 / 72  # inches of a DejaVu Sans Mono character for each point of its size
STEPS = 20  # stops of the HTML's colour bar


class Cell(NamedTuple):
    """A token's place: left edge, line from the top, width."""

    left: float
    line: int
    width: float


@styled()
def token_text(
    tokens: Sequence[str],
    contributions: Tensor,
    *,
    title: str = "Contributions of tokens",
    subtitle: str = "",
    limit: float | None = None,
    unit: str = "logit",
    notes: Sequence[str] = (),
    predictions: Sequence[tuple[str, float]] = (),
    save: str | Path | None = None,
) -> Figure:
    """A text whose tokens stand on the colours of their contributions, with their numbers.

    Args:
        tokens: as a person reads them, blanks included.
        contributions: (tokens,), W ∘ x summed over each token's features.
        title, subtitle (str, optional): over the text.
        limit (float, optional): the end of the scale. Default: the largest contribution.
        unit (str, optional): of the contributions. Default: "logit".
        notes (optional): lines below the scale, such as F, b and their errors.
        predictions (optional): (token, probability), the most probable first, as bars.
        save (optional): a file to write, in the format of its ending.

    Returns:
        The figure, not shown. Long texts go on in a new line.

    Raises:
        PictureInputError: not one number for each token, or none.
        PictureFileError, PicturePackageError: as in `attribution_maps`.

    Captum's ``visualize_text`` is not used: it displays HTML in a notebook, and its colours
    have no scale.

    >>> import torch
    >>> from captum_ilin import pictures
    >>> tokens, contributions = ["The", " cat", " sat"], torch.tensor([0.5, 2.0, -1.0])
    >>> figure = pictures.token_text(tokens, contributions)
    >>> [text.get_text() for text in figure.axes[0].texts][1:]
    ['The', '+0.50', 'cat', '+2.00', 'sat', '-1.00']
    """
    values = _checked(tokens, contributions)
    limit = _end(limit, values)
    cells = cells_of(tokens, values)
    below = max(SCALE + NOTE * (len(notes) + bool(notes)), BARS if predictions else 0.0)
    above = TITLE + (SUBTITLE if subtitle else 0.0)
    height = above + LINE * (cells[-1].line + 1) + below
    figure = blank(WIDTH, height)
    canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    canvas.set_axis_off()
    _write_title(canvas, title, subtitle, height)
    for token, value, cell in zip(tokens, values, cells, strict=True):
        _draw_token(canvas, token, value, cell, limit, height - above)
    for number, line in enumerate(notes):
        canvas.text(MARGIN, below - 1.33 - NOTE * number, line, fontsize=8)
    _draw_scale(figure, (0.4, below - 0.65, 3.3, 0.16), limit, unit)
    if predictions:
        _draw_predictions(figure, (5.6, below - 1.65, 1.7, 1.3), predictions)
    return saved(figure, save)


def token_html(
    tokens: Sequence[str],
    contributions: Tensor,
    *,
    limit: float | None = None,
    unit: str = "logit",
) -> str:
    """The same as an HTML element with its scale, for a page or a notebook.

    Args:
        tokens, contributions, limit, unit: as in `token_text`.

    Returns:
        A ``<div>`` that needs no style sheet, script or file. It is dark ink on white
        whatever the page's colours; the tokens are escaped.

    Raises:
        PictureInputError: not one number for each token, or none.
        PicturePackageError: matplotlib, whose colours are used, is not installed.

    >>> import torch
    >>> from captum_ilin import pictures
    >>> pictures.token_html(["<b>", " cat"], torch.tensor([0.5, -1.0])).count("&lt;b&gt;")
    1
    """
    values = _checked(tokens, contributions)
    limit = _end(limit, values)
    spans = (_span(token, value, limit) for token, value in zip(tokens, values, strict=True))
    stops = (shade(2 * step / STEPS - 1, 1.0).background for step in range(STEPS + 1))
    ends = 'style="display:flex;justify-content:space-between;font-size:.8rem"'
    return (
        '<div style="color:#222;background:#fff">\n'
        '<div style="display:flex;flex-wrap:wrap;row-gap:.5rem">'
        f"{''.join(spans)}</div>\n"
        '<div style="margin-top:1.25rem;max-width:24rem" role="img" aria-label="colour scale">'
        '<div style="height:.8rem;border:1px solid #999;background:'
        f'linear-gradient(to right, {", ".join(stops)})"></div>\n'
        f"<div {ends}><span>−{limit:.2f}</span><span>0</span><span>+{limit:.2f}</span></div>\n"
        f"<div {ends}><span>against</span><span>{escape(unit)}</span><span>for</span></div>"
        "</div>\n</div>"
    )


def visible(token: str) -> str:
    """A token with its line breaks and tabs as signs, so that it stays on one line.

    >>> visible("a\\n\\tb"), visible("")
    ('a⏎⇥b', '∅')
    """
    return token.replace("\r", "").replace("\n", "⏎").replace("\t", "⇥") or "∅"


def cells_of(tokens: Sequence[str], values: Sequence[float]) -> list[Cell]:
    """Tokens beside each other, in a new line where the width ends."""
    cells: list[Cell] = []
    left, line = MARGIN, 0
    for token, value in zip(tokens, values, strict=True):
        width = max(
            (_columns(visible(token)) + 0.3) * WIDE * TOKEN_SIZE,
            (len(f"{value:+.2f}") + 1.0) * WIDE * NUMBER_SIZE,
        )
        if left + width > WIDTH - MARGIN and left > MARGIN:
            left, line = MARGIN, line + 1
        cells.append(Cell(left, line, width))
        left += width
    return cells


def _checked(tokens: Sequence[str], contributions: Tensor) -> list[float]:
    values: list[float] = drawable(contributions, "contributions", {1: "(tokens,)"}).tolist()
    if isinstance(tokens, str) or len(tokens) != len(values):
        got = repr(tokens) if isinstance(tokens, str) else f"{len(tokens)} tokens"
        raise PictureInputError(
            f"tokens must be {len(values)} texts, one for each contribution, but got {got}. "
            "Sum W ∘ x over the features of each token, and choose one example."
        )
    return values


def _columns(text: str) -> int:
    """How many letters wide: Chinese characters and most signs are two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _end(limit: float | None, values: Sequence[float]) -> float:
    """Of the scale: as it is given, or the largest contribution."""
    if limit is not None and limit != math.inf:
        return limit
    return max(abs(value) for value in values) or 1.0


def _write_title(canvas: Axes, title: str, subtitle: str, height: float) -> None:
    size = min(12.0, 1.85 * WIDTH * 72 / len(title)) if title else 12.0
    canvas.text(MARGIN, height - 0.32, title, fontsize=size)
    if subtitle:
        canvas.text(MARGIN, height - 0.58, subtitle, fontsize=9, color="0.35")


def _draw_token(
    canvas: Axes, token: str, value: float, cell: Cell, limit: float, top: float
) -> None:
    from matplotlib.patches import Rectangle

    background, ink = shade(value, limit)
    base = top - LINE * cell.line - 0.3
    canvas.add_patch(Rectangle((cell.left, base), cell.width, 0.3, color=background, lw=0))
    text = visible(token)
    letters = text.lstrip(" ")  # leading blanks have no ink, so they are left by hand
    start = (cell.width - _columns(text) * WIDE * TOKEN_SIZE) / 2
    canvas.text(
        cell.left + start + (len(text) - len(letters)) * WIDE * TOKEN_SIZE,
        base + 0.15,
        letters,
        color=ink,
        size=TOKEN_SIZE,
        family="monospace",
        va="center_baseline",
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


def _draw_scale(
    figure: Figure, place: tuple[float, float, float, float], limit: float, unit: str
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(-limit, limit), text_map())
    bar = figure.colorbar(colours, cax=_axes(figure, place), orientation="horizontal")
    bar.set_ticks([-limit, 0, limit])
    bar.set_ticklabels([f"−{limit:.2f}", "0", f"+{limit:.2f}"])
    bar.set_label(f"against  ←  {unit}  →  for", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _draw_predictions(
    figure: Figure,
    place: tuple[float, float, float, float],
    predictions: Sequence[tuple[str, float]],
) -> None:
    """Bars of the most probable next tokens."""
    axis = _axes(figure, place)
    plain(axis)
    tokens, chances = zip(*predictions, strict=True)
    places = list(range(len(tokens)))[::-1]
    axis.barh(places, chances, color="0.6", height=0.7)
    axis.set_yticks(places, [f'"{visible(token)}"' for token in tokens], family="monospace")
    for height, chance in zip(places, chances, strict=True):
        axis.text(chance, height, f" {chance:.1%}", va="center", fontsize=8)
    axis.tick_params(labelsize=8, length=0)
    axis.set_title("most probable next tokens", fontsize=8, loc="left", pad=3)


def _axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Axes at (left, bottom, width, height) in inches."""
    left, bottom, width, tall = place
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, tall / high))


def _span(token: str, value: float, limit: float) -> str:
    background, ink = shade(value, limit)
    return (
        '<span style="display:inline-flex;flex-direction:column;align-items:center">'
        f'<b style="background:{background};color:{ink};font:bold 1.15rem/1.9 '
        "ui-monospace,monospace;white-space:pre;width:100%;text-align:center;"
        f'padding:0 .1rem;box-sizing:border-box">{escape(visible(token))}</b>'
        f'<small style="font-size:.72rem;color:#444;padding:0 .3rem">{value:+.2f}</small>'
        "</span>"
    )
