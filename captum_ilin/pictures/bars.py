"""``waterfall``: named contributions, one after the other, up to their sum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from captum_ilin.pictures.colours import shade
from captum_ilin.pictures.drawing import WIDTH, saved, styled, titled_figure
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.numbers import short, written_like

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Bar", "draw_waterfall", "gathered", "waterfall"]

LINE, BELOW = 0.27, 0.75  # inches: a bar; the axis and the margins
NAME = 44  # letters of a name
SIZE, DIGIT = 9.0, 0.64  # points; of it, how wide a digit is
STRONG = 0.75  # of the colour scale: a bar's shade
TOTAL = "0.3"  # the sum's grey


@dataclass(frozen=True)
class Bar:
    """A term of the sum: its name, where it starts and how far it reaches."""

    name: str
    start: float
    size: float


@styled()
def waterfall(
    contributions: Mapping[str, float | Tensor],
    *,
    total: float | Tensor | None = None,
    total_name: str = "F",
    most: int = 15,
    sort: bool = False,
    unit: str = "logit",
    title: str = "Contributions",
    save: str | Path | None = None,
) -> Figure:
    """Named contributions as bars that begin where the one before ends, and their sum.

    For whatever adds up: features and biases, the units, heads or branches of a layer and
    the layer's share of the bias, tokens.

    Args:
        contributions: name → a number or a tensor of one element, in the order drawn.
        total (optional): what they must add up to. Default: None, their sum.
        total_name (str, optional): the name of the last bar.
        most (int, optional): bars, besides the sum; smaller contributions are added up as
            "n others". Default: 15.
        sort (bool, optional): the largest first. Default: False, in the order given.
        unit (str, optional): of every number.
        title (str, optional): over the figure.
        save (optional): a file to write, in the format of its ending.

    Returns:
        The figure, not shown. Each number stands beside its bar.

    Raises:
        PictureInputError: nothing to draw, a number that is not finite, or contributions
            that miss the total by more than 1e-4 of their sizes' sum.
        PictureFileError: the file's folder does not exist, or its ending names no format.
        PicturePackageError: matplotlib is not installed.

    >>> from captum_ilin import pictures
    >>> figure = pictures.waterfall({"left": 1.5, "right": -0.5, "bias": 1.0}, total=2.0)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['+1.500', '−0.500', '+1.000', '2.000']
    """
    terms = {str(name): _number(value, name) for name, value in contributions.items()}
    goal = math.fsum(terms.values()) if total is None else _number(total, "total")
    if sort:
        terms = dict(sorted(terms.items(), key=lambda term: -abs(term[1])))
    return draw_waterfall(
        gathered(terms, most), goal, total_name=total_name, unit=unit, title=title, save=save
    )


def gathered(terms: Mapping[str, float], most: int, *, always: int = 0) -> dict[str, float]:
    """The largest terms in their order; what is left is added up as "n others", last.

    Args:
        terms: name → number.
        most: terms in the result, the others together counting as one.
        always: so many from the beginning are kept whatever their size.

    Raises:
        PictureInputError: ``most`` leaves no room.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < always + 1:
        raise PictureInputError(
            f"most must be an int of at least {always + 1}, because the rest is one bar, but "
            f"got {most!r}."
        )
    if len(terms) <= most:
        return dict(terms)
    names = list(terms)
    ranked = sorted(names[always:], key=lambda name: -abs(terms[name]))
    kept = {*names[:always], *ranked[: most - 1 - always]}
    left = [terms[name] for name in names if name not in kept]
    found = {name: terms[name] for name in names if name in kept}
    return found | {f"{len(left)} others": math.fsum(left)}


def draw_waterfall(
    terms: Mapping[str, float],
    total: float,
    *,
    total_name: str,
    unit: str,
    title: str,
    save: str | Path | None,
    tolerance: float = 1e-4,
) -> Figure:
    """The figure of terms that are numbers already."""
    _check(terms, total, tolerance)
    bars = _placed(terms)
    figure = titled_figure(WIDTH, LINE * (len(bars) + 1) + BELOW, title)
    axis = figure.subplots()
    _draw(axis, bars, total, total_name)
    axis.set_xlabel(unit)
    return saved(figure, save)


def _placed(terms: Mapping[str, float]) -> list[Bar]:
    """Every bar starts where the one before ended, the first at 0."""
    bars, reached = [], 0.0
    for name, size in terms.items():
        bars.append(Bar(name, reached, size))
        reached += size
    return bars


def _draw(axis: Axes, bars: list[Bar], total: float, total_name: str) -> None:
    write = written_like([total, *(bar.size for bar in bars)])
    for place, bar in enumerate(bars):
        colour = shade(math.copysign(STRONG, bar.size), 1.0).background
        axis.barh(place, bar.size, left=bar.start, height=0.72, color=colour)
        end = bar.start + bar.size
        axis.plot([end, end], [place + 0.36, place + 0.64], color="0.5", linewidth=0.8)
    axis.barh(len(bars), total, height=0.72, color=TOTAL)
    numbers = [write(bar.size) for bar in bars]
    _write(axis, [*numbers, write(total).removeprefix("+")])
    axis.axvline(0, color="0.4", linewidth=0.8)
    names = [short(bar.name, NAME) for bar in bars]
    axis.set_yticks(range(len(bars) + 1), [*names, total_name])
    axis.get_yticklabels()[-1].set_fontweight("bold")
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(bars) + 0.6, -0.6)
    axis.use_sticky_edges = False
    axis.margins(x=0.02)
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)


def _write(axis: Axes, numbers: list[str]) -> None:
    """In a column at the right, where no bar can be in its way; the last one is the sum."""
    width = max(map(len, numbers)) * DIGIT * SIZE
    for place, number in enumerate(numbers):
        axis.annotate(
            number,
            (1, place),
            xycoords=axis.get_yaxis_transform(),
            xytext=(width + SIZE, 0),
            textcoords="offset points",
            ha="right",
            va="center_baseline",
            fontweight="bold" if place == len(numbers) - 1 else "normal",
        )


def _number(value: float | Tensor, name: object) -> float:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise PictureInputError(
            f"The contribution {str(name)!r} must be one number, but is a tensor shaped "
            f"{tuple(value.shape)}. Choose one example and sum over the rest."
        )
    number = float(value)
    if not math.isfinite(number):
        raise PictureInputError(
            f"The contribution {str(name)!r} must be finite to be drawn, but is {number}."
        )
    return number


def _check(terms: Mapping[str, float], total: float, tolerance: float) -> None:
    if not terms:
        raise PictureInputError(
            "There must be a contribution to draw, but got none. Pass name → number."
        )
    reached, sizes = math.fsum(terms.values()), math.fsum(map(abs, terms.values()))
    if not abs(reached - total) <= tolerance * max(sizes, abs(total)):
        raise PictureInputError(
            f"The contributions must add up to the total {total:.6g}, but add up to "
            f"{reached:.6g}: something is left out or counted twice. Pass all of them, the "
            "bias too."
        )
