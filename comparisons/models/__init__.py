"""The trained networks of the comparison, by name."""

from __future__ import annotations

from comparisons.models import (
    digits,
    efficientnet,
    efficientnet_grid,
    fashion,
    mnist,
    next_token,
    synthetic,
    synthetic_images,
    tabular,
    tsne,
)
from comparisons.models.network import Model, Network

__all__ = ["MODELS", "Model", "Network"]

MODELS = {
    **digits.MODELS,
    **efficientnet.MODELS,
    **efficientnet_grid.MODELS,
    **fashion.MODELS,
    **mnist.MODELS,
    **next_token.MODELS,
    **synthetic.MODELS,
    **synthetic_images.MODELS,
    **tabular.MODELS,
    **tsne.MODELS,
}
