"""Complexity in the harness: descriptive only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.metrics import Direction, entropy, gini
from comparisons.measures.measure import Measure, Value, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from captum_ilin.metrics import Scores
    from comparisons.measures.measure import Case

__all__ = ["MEASURES"]


def _described(metric: Callable[..., Scores]) -> Callable[..., list[Value]]:
    def run(case: Case) -> list[Value]:
        return values_of(metric(_of_pixels(case)))

    return run


def _of_pixels(case: Case) -> Tensor:
    """An image's attributions summed over its channels; others as they are."""
    if case.network.images is None:
        return case.attributions
    return case.attributions.sum(1, keepdim=True)


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "gini",
            "complexity",
            {"": Direction.DESCRIPTIVE},
            _described(gini),
            "1 − 2 Σ_k (v_k/‖v‖₁)(d − k + ½)/d, v = |A| ascending (Hurley & Rickard 2009, "
            "Chalasani 2020)",
        ),
        Measure(
            "entropy",
            "complexity",
            {"": Direction.DESCRIPTIVE},
            _described(entropy),
            "−Σ p ln p, p = |A|/Σ|A| (Bhatt 2020)",
        ),
    )
}
