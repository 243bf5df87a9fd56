"""Localisation in the harness: attributions against known evidence and true contributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from captum_ilin.metrics import (
    Direction,
    grid_pointing_game,
    pointing_game,
    relevance_auc,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from comparisons.measures.measure import Measure, Value, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from captum_ilin.metrics import Scores
    from comparisons.measures.measure import Case
    from comparisons.methods.method import Method
    from comparisons.models.network import Network

__all__ = ["MEASURES"]

HIGHER = {"": Direction.HIGHER}


def _localised(metric: Callable[..., Scores]) -> Callable[..., list[Value]]:
    """The metric against the case's mask."""

    def run(case: Case, **parameters: object) -> list[Value]:
        mask = case.mask
        assert mask is not None, "such networks are excluded by undefined"
        return values_of(metric(case.attributions, _of_pixels(case, mask), **parameters))

    return run


def _of_pixels(case: Case, mask: Tensor) -> Tensor:
    """An image's mask with one channel, so that its attributions are summed over theirs."""
    return mask if case.network.images is None else mask.any(1, keepdim=True)


def _without_masks(method: Method, network: Network) -> str | None:
    if network.masks is not None:
        return None
    return f"{network.name} has no masks: nobody knows where the evidence lies"


def _without_grids(method: Method, network: Network) -> str | None:
    if network.grid is not None and network.masks is not None:
        return None
    return f"the inputs of {network.name} are no grids of images of different classes"


def _without_truth(method: Method, network: Network) -> str | None:
    if network.contributions is not None:
        return None
    return f"the true contributions of {network.name} are not known"


def _true_contributions(case: Case) -> list[Value]:
    """How far attributions are from the truth, and whether they vary with it."""
    known = case.network.contributions
    assert known is not None, "such networks are excluded by undefined"
    truth = known[case.example].flatten().double()
    found = case.attributions[0].flatten().to(truth)
    return [_correlation(found, truth), _relative_error(found, truth, case.method)]


def _correlation(found: Tensor, truth: Tensor) -> Value:
    """Pearson's, over the features."""
    a, b = found - found.mean(), truth - truth.mean()
    scale = float(a.norm() * b.norm())
    if not math.isfinite(scale) or scale == 0:
        reason = "the attributions or the truth are constant, or not finite"
        return Value(math.nan, reason, "correlation")
    return Value(float(torch.dot(a, b)) / scale, None, "correlation")


def _relative_error(found: Tensor, truth: Tensor, method: Method) -> Value:
    """‖φ − φ*‖ / ‖φ*‖; of contributions only, because slopes have other units."""
    if not method.is_contribution:
        reason = f"{method.name} gives slopes, not contributions"
        return Value(math.nan, reason, "relative error")
    error = float((found - truth).norm() / truth.norm())
    if not math.isfinite(error):
        reason = "the true contributions are 0, or the attributions are not finite"
        return Value(math.nan, reason, "relative error")
    return Value(error, None, "relative error")


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "pointing_game",
            "localisation",
            HIGHER,
            _localised(pointing_game),
            "whether the largest attribution lies in the mask (Zhang 2018)",
            {"tolerance": 0},
            _without_masks,
        ),
        Measure(
            "relevance_mass_accuracy",
            "localisation",
            HIGHER,
            _localised(relevance_mass_accuracy),
            "Σ A⁺ in the mask / Σ A⁺ (Arras 2022)",
            {"part": "positive"},
            _without_masks,
        ),
        Measure(
            "relevance_rank_accuracy",
            "localisation",
            HIGHER,
            _localised(relevance_rank_accuracy),
            "share of the |M| largest attributions that lie in the mask M (Arras 2022)",
            {"part": "signed"},
            _without_masks,
        ),
        Measure(
            "relevance_auc",
            "localisation",
            HIGHER,
            _localised(relevance_auc),
            "P(A in the mask > A outside), ties ½: the area under the ROC curve (Fawcett 2006)",
            {"part": "signed"},
            _without_masks,
        ),
        Measure(
            "grid_pointing_game",
            "localisation",
            HIGHER,
            _localised(grid_pointing_game),
            "Σ A⁺ in the explained class's cell / Σ A⁺; chance 1/n² (Böhle 2021)",
            undefined=_without_grids,
        ),
        Measure(
            "true_contributions",
            "localisation",
            {"correlation": Direction.HIGHER, "relative error": Direction.LOWER},
            _true_contributions,
            "Pearson's correlation with the true contributions φ*, and ‖φ − φ*‖/‖φ*‖",
            undefined=_without_truth,
        ),
    )
}
