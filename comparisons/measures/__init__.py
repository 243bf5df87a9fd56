"""The metrics that the harness runs, by name."""

from __future__ import annotations

from comparisons.measures import complexity, localisation
from comparisons.measures.measure import Case, Measure, Value

__all__ = ["MEASURES", "Case", "Measure", "Value"]

MEASURES = {
    **localisation.MEASURES,
    **complexity.MEASURES,
}
