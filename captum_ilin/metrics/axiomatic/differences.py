"""The relative difference of two attributions of the same examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin.metrics.features import flattened
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["relative_difference"]


def relative_difference(
    metric: str, found: tuple[Tensor, ...], expected: tuple[Tensor, ...]
) -> Scores:
    """‖found − expected‖₂ / ‖expected‖₂ of each example, in float64; lower is better."""
    a, b = flattened(found).double(), flattened(expected).double()
    value = (a - b).norm(dim=1) / b.norm(dim=1)
    reasons = [
        "every attribution it is compared with is 0"
        if is_zero
        else "an attribution is not finite"
        for is_zero in (b == 0).all(1).tolist()
    ]
    value = torch.where(value.isfinite(), value, torch.nan)
    return Scores.of(metric, Direction.LOWER, value, reasons)
