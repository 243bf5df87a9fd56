"""The metrics that the harness runs, by name."""

from __future__ import annotations

from comparisons.measures import complexity, localisation, robustness
from comparisons.measures.measure import Case, Measure, Value

__all__ = ["MEASURES", "Case", "Measure", "Value"]

MEASURES = {
    **robustness.MEASURES,
    **localisation.MEASURES,
    **complexity.MEASURES,
}
