"""``line_of``: what a line of the aggregated frame says of any cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.report.columns import is_control

if TYPE_CHECKING:
    from comparisons.report.columns import Column
    from comparisons.statistics import Interval

__all__ = ["line_of"]


def line_of(column: Column, model: str, method: str, found: Interval) -> dict[str, Any]:
    """Where the cell stands, its estimate and its interval."""
    return {
        "model": model,
        "family": column.family,
        "metric": column.metric,
        "variant": column.variant,
        "quantity": column.quantity,
        "direction": column.direction.name.lower(),
        "method": method,
        "control": is_control(method),
        "statistic": column.statistic,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "seeds": found.seeds,
        "examples": found.examples,
        "note": found.note or "",
    }
