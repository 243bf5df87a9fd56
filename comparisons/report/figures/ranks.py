"""Critical-difference diagrams: mean ranks, and which of them Nemenyi's test joins."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from comparisons.report.figures.drawing import panels, save

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

    from comparisons.report.figures.drawing import Figure
    from comparisons.report.frame import Block
    from comparisons.statistics import Friedman

__all__ = ["cliques", "rank_figures"]

CAPTION = (
    "Mean ranks over the examples, the best on the left; methods joined by a bar are closer "
    "than the critical difference (CD; Friedman's test with Nemenyi's, 5 %; Demšar 2006). "
    "Secondary to the paired tests. Above each panel: Friedman's p and the number of examples."
)


def rank_figures(folder: Path, ranks: list[tuple[Block, Friedman]]) -> Iterator[Figure]:
    """One figure for each model, a panel for each column that has a test."""
    tested = [(block, found) for block, found in ranks if found.reason is None]
    for model, group in groupby(tested, key=lambda pair: pair[0].model):
        of_model = list(group)
        most = max(len(block.methods) for block, _ in of_model)
        height = 0.9 + 0.11 * most
        figure, axes = panels(len(of_model), columns=2, width=5.2, height=height)
        for axis, (block, found) in zip(axes, of_model, strict=True):
            _panel(axis, block, found)
        yield save(
            figure, folder, f"ranks_{model}", f"Critical differences on {model}", CAPTION
        )


def _panel(axis: Axes, block: Block, found: Friedman) -> None:
    order = np.argsort(found.ranks, kind="stable")
    ranks = found.ranks[order]
    names = [block.methods[place] for place in order]
    count, half = len(names), (len(names) + 1) // 2
    bars = cliques(ranks.tolist(), found.critical)
    below = 0.55 + 0.28 * len(bars)
    span = 0.3 * (count - 1) + 0.7
    axis.hlines(0, 1, count, color="black", lw=1)
    for tick in range(1, count + 1):
        axis.vlines(tick, -0.12, 0.12, color="black", lw=1)
        axis.text(tick, -0.3, str(tick), ha="center", va="bottom", fontsize=7)
    for place, (rank, name) in enumerate(zip(ranks.tolist(), names, strict=True)):
        left = place < half
        depth = below + 0.62 * (place if left else count - 1 - place)
        edge = 1 - span * 0.1 if left else count + span * 0.1
        weight = "bold" if name == "ILIN" else "normal"
        axis.plot([rank, rank, edge], [0, depth, depth], color="0.35", lw=0.8)
        axis.text(
            edge, depth, f" {name} {rank:.1f} ", ha="right" if left else "left", va="center",
            fontsize=8, weight=weight,
        )  # fmt: skip
    for place, (low, high) in enumerate(bars):
        depth = 0.35 + 0.28 * place
        axis.plot([low - 0.04, high + 0.04], [depth, depth], color="#D55E00", lw=3)
    axis.plot([1, 1 + found.critical], [-1.15, -1.15], color="black", lw=1.5, marker="|")
    axis.text(
        1 + found.critical, -1.15, f"  CD {found.critical:.2f}", va="center", fontsize=7.5
    )
    p = "p < .001" if found.p < 1e-3 else f"p = {found.p:.3f}"
    arrow = block.column.direction.arrow
    axis.set_title(f"{block.column.label} {arrow}   {p}, n = {found.blocks}", fontsize=8.5)
    reach = 0.45 * count
    axis.set(xlim=(1 - reach, max(count, 1 + found.critical) + reach))
    axis.set_ylim(below + 0.62 * half, -1.6)
    axis.axis("off")


def cliques(ranks: list[float], critical: float) -> list[tuple[float, float]]:
    """The longest runs of sorted ranks that lie within the critical difference.

    >>> cliques([1.0, 1.5, 2.2, 4.0], 1.0)
    [(1.0, 1.5), (1.5, 2.2)]
    """
    found: list[tuple[float, float]] = []
    for first in ranks:
        last = max(rank for rank in ranks if rank - first <= critical)
        if last > first and not any(low <= first and last <= high for low, high in found):
            found.append((first, last))
    return found
