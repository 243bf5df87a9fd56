"""Subsets of an example's features: their attributions summed, and F without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.metrics.features import Features
    from captum_ilin.metrics.values import Values

__all__ = ["sums_over", "values_without"]


def sums_over(subsets: Tensor, attributions: Tensor) -> Tensor:
    """(batch, subsets) Σ_{i∈S} φ_i.

    Args:
        subsets: (1 or batch, subsets, count) bool.
        attributions: (batch, count)
    """
    return torch.stack([(row * attributions).sum(1) for row in subsets.unbind(1)], 1)


def values_without(
    subsets: Tensor, values: Values, features: Features, baselines: tuple[Tensor, ...]
) -> Tensor:
    """(batch, subsets) F(x with S at x'), ``values.batch_size`` rows at a time.

    Args:
        subsets: (1 or batch, subsets, count) bool.
        values: F of the examples.
        features: of the examples.
        baselines: x'.
    """
    many = subsets.shape[1]
    found = []
    for rows in torch.arange(values.batch * many, device=subsets.device).split(
        values.batch_size
    ):
        examples = rows // many
        whose = examples if len(subsets) > 1 else torch.zeros_like(examples)
        removed = subsets[whose, rows % many]
        found.append(values(features.replaced(examples, removed, baselines), examples))
    return torch.cat(found).reshape(values.batch, many)
