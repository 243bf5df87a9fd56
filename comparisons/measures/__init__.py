"""The metrics that the harness runs, by name."""

from __future__ import annotations

<<<<<<< HEAD
from comparisons.measures import complexity, cost, faithfulness, localisation, robustness
=======
from comparisons.measures import (
    axiomatic,
    complexity,
    cost,
    faithfulness,
    localisation,
    randomisation,
    robustness,
)
>>>>>>> 505b242 (Run randomisation in the harness, every quantity descriptive)
from comparisons.measures.measure import Case, Measure, Value

__all__ = ["MEASURES", "Case", "Measure", "Value"]

MEASURES = {
    **faithfulness.MEASURES,
    **randomisation.MEASURES,
    **robustness.MEASURES,
    **localisation.MEASURES,
    **complexity.MEASURES,
    **cost.MEASURES,
}
