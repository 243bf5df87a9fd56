"""``validity_curve``: how wrong the map is along a direction, and where its region ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from captum_ilin.pictures.drawing import saved, styled, titled_figure
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.numbers import drawable, labels_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from torch import Tensor

    from captum_ilin.exits import RegionExit

__all__ = ["validity_curve"]

# Okabe and Ito's colours, "Color Universal Design" (2008), without the pale yellow
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DECADES = 2  # from which on steps are drawn on a logarithmic axis
ERRORS = {1: "(steps,)", 2: "(steps, batch)"}


@styled()
def validity_curve(
    steps: Sequence[float] | Tensor,
    errors: Tensor,
    *,
    exit: RegionExit | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """The measured error of W x + b against the step along a direction.

    Both axes are logarithmic where that helps: errors always, steps where they span two
    decades or more (a step of 0 is then left out). An error below the rounding of the
    errors' type is drawn at its edge, in the grey band.

    Args:
        steps: as they were given to ``AffineMap.validity``, (steps,).
        errors: what it returned, (steps, batch), or (steps,) for one example.
        exit (optional): of a piecewise linear network, ``region().exit(direction)`` with the
            same direction: marks the step at which the pattern first changes.
        labels (optional): a text for each example. Default: "example 0", …; with more than
            six examples all are grey, and their median is drawn.
        title, save (optional): as in `attribution_maps`.

    Returns:
        The figure, not shown.

    Raises:
        PictureInputError: shapes that do not fit each other, or a negative error.
        PictureFileError, PicturePackageError: as in `attribution_maps`.

    >>> import torch
    >>> from captum_ilin import linearize, pictures
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> x, direction = torch.randn(2, 1, 4)
    >>> affine_map, steps = linearize(model, x), [0.01, 0.1, 1.0, 10.0]
    >>> errors = affine_map.validity(direction, steps)
    >>> exit = affine_map.region().exit(direction)
    >>> pictures.validity_curve(steps, errors, exit=exit).axes[0].get_xscale()
    'log'
    """
    places = drawable(torch.as_tensor(steps, dtype=torch.float64), "steps", {1: "(steps,)"})
    found = drawable(errors, "errors", ERRORS)
    found = found[:, None] if found.dim() == 1 else found
    _check(places, found)
    names = labels_for(labels, found.shape[1], "example")
    figure = titled_figure(
        6.5, 3.3, title or "How far the map holds: error of W x + b along a direction"
    )
    axis = figure.subplots()
    _scale_steps(axis, places)
    rounding = torch.finfo(errors.dtype if errors.is_floating_point() else found.dtype).eps
    _draw_errors(axis, places, found, names, rounding)
    _label_powers(axis.yaxis, found[found > rounding])
    if exit is not None:
        _mark(axis, exit)
    axis.set_xlabel("step, in multiples of the direction")
    axis.set_ylabel("largest error / largest |F(x0)|")
    axis.legend(fontsize=8, frameon=True, framealpha=0.9, edgecolor="none")
    return saved(figure, save)


def _check(steps: Tensor, errors: Tensor) -> None:
    if len(steps) != len(errors):
        raise PictureInputError(
            f"errors must have a row for each of the {len(steps)} steps, but have "
            f"{len(errors)}. Pass the steps that AffineMap.validity was given."
        )
    if bool((errors < 0).any()):
        raise PictureInputError(
            f"errors must be sizes, as AffineMap.validity gives them, but the smallest is "
            f"{float(errors.min()):.3g}."
        )


def _scale_steps(axis: Axes, steps: Tensor) -> None:
    positive = steps[steps > 0]
    spans = len(positive) and positive.max() >= 10**DECADES * positive.min()
    if spans and bool((steps >= 0).all()):
        axis.set_xscale("log")
        _label_powers(axis.xaxis, positive)
    axis.set_yscale("log")
    axis.grid()


def _draw_errors(
    axis: Axes, steps: Tensor, errors: Tensor, names: list[str], rounding: float
) -> None:
    """A line for each example; of many the median stands out."""
    order = steps.argsort()
    steps, errors = steps[order], errors[order].clamp_min(rounding)
    many = errors.shape[1] > len(COLOURS)
    for number, name in enumerate(names):
        colour = "0.75" if many else COLOURS[number]
        label = None if many else name
        axis.plot(
            steps.numpy(),
            errors[:, number].numpy(),
            color=colour,
            linewidth=0.8 if many else 1.6,
            marker="" if many else "o",
            markersize=3,
            label=label,
        )
    if many:
        middle = errors.median(1).values
        label = f"median of {len(names)} examples"
        axis.plot(steps.numpy(), middle.numpy(), color=COLOURS[0], linewidth=2, label=label)
    if errors.min() <= 10 * rounding:
        axis.axhspan(rounding / 3, rounding, color="0.9", linewidth=0, label="below rounding")
        axis.set_ylim(bottom=rounding / 3)


def _mark(axis: Axes, exit: RegionExit) -> None:
    """The step at which the region ends, or a word that it does not."""
    where = f"{exit.op} in {exit.module!r}" if exit.module else exit.op
    if math.isinf(exit.step):
        axis.plot([], [], " ", label="the region never ends this way")
        return
    if exit.step <= 0:
        axis.plot([], [], " ", label=f"x0 lies on the region's boundary ({where})")
        return
    label = f"region ends at {exit.step:.3g} ({where})"
    axis.axvline(exit.step, color="0.2", linestyle=(0, (4, 2)), linewidth=1.2, label=label)


def _label_powers(axis: Axis, values: Tensor) -> None:
    """Every power of ten; within a single decade its multiples too."""
    narrow = len(values) and values.max() < 10 * values.min()
    axis.set_major_formatter(_power)
    axis.set_minor_formatter(_power if narrow else lambda *_: "")


def _power(value: float, _: object) -> str:
    """1e-3, since labels are no mathematics here."""
    if 1e-2 <= value <= 1e3:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9) if value > 0 else 0
    return f"{value / 10**exponent:g}e{exponent}" if value > 0 else f"{value:g}"
