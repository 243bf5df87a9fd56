"""The report's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.report.figures.cascades import cascade_figures
from comparisons.report.figures.correlation import correlation_figures
from comparisons.report.figures.cost import cost_figures
from comparisons.report.figures.curves import curve_figures
from comparisons.report.figures.drawing import Figure, shown
from comparisons.report.figures.grid import grid_figures
from comparisons.report.figures.ranks import rank_figures
from comparisons.report.figures.steps import step_figures

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from comparisons.report.aggregate import Analysis

__all__ = ["Figure", "figures"]


def figures(
    folder: Path, frame: pd.DataFrame, found: Analysis, notes: list[str]
) -> list[Figure]:
    """All that the rows allow; what is left out, and why, goes into ``notes``."""
    with shown():
        drawn = {
            "attribution grid": list(grid_figures(folder, frame, notes)),
            "completeness against steps": list(step_figures(folder, found.table)),
            "insertion and deletion curves": list(curve_figures(folder, frame)),
            "randomisation cascades": list(cascade_figures(folder, frame)),
            "critical differences": list(rank_figures(folder, found.ranks)),
            "correlation of metrics": list(correlation_figures(folder, found.table)),
            "cost against quality": list(cost_figures(folder, found.table)),
        }
    notes += [
        f"No figure of {name}: no rows for it." for name, made in drawn.items() if not made
    ]
    return [figure for made in drawn.values() for figure in made]
