"""``metric_shifts``: the same examples before and after, metric by metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin.pictures.drawing import WIDTH, saved, styled, titled_figure
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.numbers import drawable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    Pair = tuple[Tensor, Tensor]

__all__ = ["metric_shifts"]

# Okabe and Ito's colours
BEFORE, AFTER, FAILED = "#0072B2", "#E69F00", "#D55E00"
BINS = 40
MOST = 4  # metrics of a figure


@styled()
def metric_shifts(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    *,
    failed: Tensor | None = None,
    names: tuple[str, str] = ("before", "after"),
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """How the distributions of metrics move, and how each example does.

    Above, for each metric, how many examples lie where, before and after, the medians as lines.
    Below, each example as a point: on the diagonal nothing has changed.

    Args:
        before: metric's name, with its unit if it has one → (n,).
        after: of the same metrics and examples.
        failed (optional): the examples to stand out, (n,) of bool, such as
            ``GeometryShift.has_failed``.
        names (optional): of before and after. Default: those words.
        title, save (optional): as in `attribution_maps`.

    Returns:
        The figure, not shown.

    Raises:
        PictureInputError: other metrics or examples after than before, or none.
        PictureFileError, PicturePackageError: as in `attribution_maps`.

    >>> import torch
    >>> from captum_ilin import pictures
    >>> before = {"norm": torch.rand(50), "margin": torch.randn(50)}
    >>> after = {"norm": torch.rand(50), "margin": torch.randn(50)}
    >>> len(pictures.metric_shifts(before, after).axes)
    4
    """
    pairs = _pairs(before, after)
    count = len(next(iter(pairs.values()))[0])
    marked = torch.zeros(count, dtype=torch.bool) if failed is None else failed
    if marked.shape != (count,) or marked.dtype != torch.bool:
        raise PictureInputError(
            f"failed must be ({count},) of bool, one for each example, but got "
            f"{tuple(marked.shape)} of {marked.dtype}."
        )
    width = WIDTH * max(len(pairs), 2) / 3 if len(pairs) < 3 else WIDTH
    figure = titled_figure(width, 4.8, title or "What has moved, metric by metric")
    axes = figure.subplots(2, len(pairs), squeeze=False)
    for column, (metric, pair) in enumerate(pairs.items()):
        _draw_counts(axes[0, column], pair, names)
        _draw_examples(axes[1, column], pair, marked, names)
        axes[0, column].set_title(metric)
    axes[0, 0].set_ylabel("examples")
    axes[0, -1].legend(fontsize=8)
    if bool(marked.any()):
        axes[1, -1].legend(fontsize=8, loc="upper left", frameon=True, edgecolor="none")
    return saved(figure, save)


def _pairs(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Pair]:
    if set(before) != set(after) or not 0 < len(before) <= MOST:
        raise PictureInputError(
            f"before and after must have the same metrics, 1 to {MOST}, but have "
            f"{list(before)} and {list(after)}."
        )
    found = {
        metric: (
            drawable(before[metric], f"before[{metric!r}]", {1: "(n,)"}),
            drawable(after[metric], f"after[{metric!r}]", {1: "(n,)"}),
        )
        for metric in before
    }
    sizes = {len(values) for pair in found.values() for values in pair}
    if len(sizes) > 1:
        raise PictureInputError(
            f"Every metric must have one number for each example, before and after, but there "
            f"are {sorted(sizes)}."
        )
    return found


def _draw_counts(axis: Axes, pair: Pair, names: tuple[str, str]) -> None:
    """Two outlines over the same bins."""
    low, high = (float(end) for end in torch.aminmax(torch.cat(pair)))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64).tolist()
    for values, name, colour in zip(pair, names, (BEFORE, AFTER), strict=True):
        axis.hist(
            values.numpy(), bins=edges, histtype="step", color=colour, linewidth=1.6, label=name
        )
        axis.axvline(float(values.quantile(0.5)), color=colour, linestyle=":", linewidth=1.4)


def _draw_examples(axis: Axes, pair: Pair, failed: Tensor, names: tuple[str, str]) -> None:
    before, after = pair
    ends = [float(end) for end in torch.aminmax(torch.cat(pair))]
    axis.plot(ends, ends, color="0.7", linewidth=1)
    for chosen, colour, label in ((~failed, "0.45", None), (failed, FAILED, "wrong since")):
        axis.scatter(
            before[chosen].numpy(),
            after[chosen].numpy(),
            s=7,
            color=colour,
            linewidths=0,
            label=label,
        )
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
