"""Cost: rows through the network, time and memory of one attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ilin.metrics import Direction, cost
from comparisons.measures.measure import Measure, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comparisons.measures.measure import Case

__all__ = ["MEASURES"]

# Rows forward and backward tell what the seconds are made of; by themselves few are no virtue.
QUANTITIES = {
    "forwards": Direction.DESCRIPTIVE,
    "backwards": Direction.DESCRIPTIVE,
    "seconds": Direction.LOWER,
    "peak_bytes": Direction.LOWER,
}
ONCE = (
    "memory does not depend on the input's values: it is measured on a network's first "
    "example only"
)


def _run(case: Case, *, repeats: int) -> list[Value]:
    found = cost(
        case.explain,
        case.model,
        case.inputs,
        target=case.target,
        repeats=repeats,
        memory=case.example == 0,
    )
    values = {name: getattr(found, name) for name in QUANTITIES}
    return [
        Value(float("nan"), ONCE, name) if value is None else Value(float(value), None, name)
        for name, value in values.items()
    ]


def _attributions(parameters: Mapping[str, Any]) -> int:
    return 1 + int(parameters["repeats"])


MEASURES = {
    "cost": Measure(
        "cost",
        "cost",
        QUANTITIES,
        _run,
        "rows forward and backward, warmed median seconds, peak bytes of the allocator",
        defaults={"repeats": 3},
        attributions=_attributions,
        medians=tuple(QUANTITIES),
    )
}
