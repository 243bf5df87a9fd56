"""Complexity: on how few features an attribution concentrates. Descriptive only.

A sparse attribution is easier to read, not more right: neither way is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.features import Features
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from captum_ilin.metrics.features import Inputs

__all__ = ["entropy", "gini"]


def gini(attributions: Inputs, *, feature_mask: Inputs | None = None) -> Scores:
    """The Gini index of the attributions' magnitudes.

    G = 1 − 2 Σ_k (v_k/‖v‖₁)·(d − k + ½)/d, v the d magnitudes in ascending order: 0 when all
    are equal, 1 − 1/d when only one is not 0. Independent of scale and sign.

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors. Every value is a
            feature: sum an image's channels first, or mask them as one, to speak of pixels.
        feature_mask: Captum's, integers shaped like the attributions or with 1 in place of the
            batch: values with the same number are summed to one feature.

    Returns:
        Descriptive, 0 to 1 − 1/d; NaN where every attribution is 0 or one is not finite.

    Raises:
        MetricInputError: the feature mask does not fit.

    Source: Hurley and Rickard, *Comparing measures of sparsity*, IEEE Transactions on
    Information Theory 2009, table I; as a metric of attributions Chalasani et al., ICML 2020.

    >>> import torch
    >>> from captum_ilin.metrics import gini
    >>> gini(torch.tensor([[0.0, 0.0, -5.0, 0.0], [1.0, 1.0, 1.0, 1.0]])).values
    tensor([0.7500, 0.0000], dtype=torch.float64)
    """
    features = Features(attributions, feature_mask)
    shares = _shares(features, attributions).sort(1).values
    count = features.present().sum(1, keepdim=True)
    # Features that an example does not have come first, below place 1: their share is 0.
    places = torch.arange(shares.shape[1], device=shares.device) + 1 - shares.shape[1] + count
    # Σ_k v_k/‖v‖₁ = 1 turns the definition into a sum whose terms cancel for equal values.
    values = (shares * (2 * places - count - 1) / count).sum(1)
    return _scores("Gini index", values)


def entropy(attributions: Inputs, *, feature_mask: Inputs | None = None) -> Scores:
    """The entropy of the attributions' magnitudes, read as a distribution over features.

    H = −Σ_i p_i ln p_i, p_i = |A_i|/Σ_j|A_j|: 0 when only one is not 0, ln d when all are
    equal.

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors; every value is a
            feature, as for `gini`.
        feature_mask: as for `gini`.

    Returns:
        Descriptive, 0 to ln d (natural logarithm); NaN where every attribution is 0 or one is
        not finite.

    Raises:
        MetricInputError: the feature mask does not fit.

    Source: Bhatt et al., *Evaluating and aggregating feature-based model explanations*,
    IJCAI 2020, complexity.

    >>> import torch
    >>> from captum_ilin.metrics import entropy
    >>> entropy(torch.tensor([[1.0, -1.0], [0.0, 4.0]])).values.exp()
    tensor([2., 1.], dtype=torch.float64)
    """
    shares = _shares(Features(attributions, feature_mask), attributions)
    return _scores("entropy", torch.special.entr(shares).sum(1))


def _shares(features: Features, attributions: Inputs) -> Tensor:
    """(batch, d): |A_i|/Σ|A|; NaN where that is undefined."""
    magnitudes = features.of(attributions).abs()
    return magnitudes / magnitudes.sum(1, keepdim=True)


def _scores(metric: str, values: Tensor) -> Scores:
    reason = "every attribution is 0, or one is not finite: magnitudes have no shares"
    return Scores.of(metric, Direction.DESCRIPTIVE, values, reason)
