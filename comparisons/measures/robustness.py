"""Robustness: how far attributions move when the input barely does.

The radius is a part of the example's own range, so that networks with differently scaled
inputs are moved alike.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from captum_ilin.metrics import (
    Direction,
    max_sensitivity,
    relative_input_stability,
    relative_output_stability,
)
from comparisons.measures.measure import Case, Measure, Value, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics import Scores

__all__ = ["MEASURES"]

DEFAULTS = {"radius": 0.02, "n_samples": 10, "batch_size": 16}


def _run(
    metric: Callable[..., Scores], case: Case, *, radius: float, n_samples: int, batch_size: int
) -> list[Value]:
    inputs = case.inputs
    span = float(inputs.max() - inputs.min())
    if span == 0:
        return [Value(float("nan"), "the input is constant, so it has no range to move in")]
    scores = metric(
        case.explain,
        case.model,
        inputs,
        target=case.target,
        radius=radius * span,
        n_samples=n_samples,
        batch_size=batch_size,
        seed=case.seed,
    )
    return values_of(scores)


def _samples(parameters: Mapping[str, Any]) -> int:
    return 1 + int(parameters["n_samples"])


def _none(parameters: Mapping[str, Any]) -> int:
    return 0


def _measure(
    metric: Callable[..., Scores], formula: str, *, stability: bool = False
) -> Measure:
    return Measure(
        metric.__name__,
        "robustness",
        {"": Direction.LOWER},
        partial(_run, metric),
        formula,
        defaults=DEFAULTS,
        attributions=_samples,
        forwards=_samples if stability else _none,
        medians=("",) if stability else (),
    )


MEASURES = {
    measure.name: measure
    for measure in (
        _measure(
            max_sensitivity,
            "max ‖e(x) − e(x')‖ / ‖e(x)‖ (Yeh 2019, Def. 3)",
        ),
        _measure(
            relative_input_stability,
            "log max ‖(e(x) − e(x')) / e(x)‖ / ‖(x − x') / x‖ (Agarwal 2022, eq. 2); medians",
            stability=True,
        ),
        _measure(
            relative_output_stability,
            "log max ‖(e(x) − e(x')) / e(x)‖ / ‖h(x) − h(x')‖ (Agarwal 2022, eq. 5); medians",
            stability=True,
        ),
    )
}
