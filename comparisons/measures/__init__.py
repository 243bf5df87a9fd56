"""The metrics that the harness runs, by name."""

from __future__ import annotations

from comparisons.measures import (
    axiomatic,
    complexity,
    cost,
    faithfulness,
    localisation,
    randomisation,
    robustness,
)
from comparisons.measures.measure import Case, Measure, Value

__all__ = ["MEASURES", "Case", "Measure", "Value"]

MEASURES = {
    **axiomatic.MEASURES,
    **faithfulness.MEASURES,
    **randomisation.MEASURES,
    **robustness.MEASURES,
    **localisation.MEASURES,
    **complexity.MEASURES,
    **cost.MEASURES,
}
