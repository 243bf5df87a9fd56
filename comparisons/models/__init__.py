"""The trained networks of the comparison, by name."""

from __future__ import annotations

from comparisons.models import (
    answers,
    digits,
    efficientnet,
    efficientnet_grid,
    fashion,
    first_sound,
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
    **answers.MODELS,
    **digits.MODELS,
    **efficientnet.MODELS,
    **efficientnet_grid.MODELS,
    **fashion.MODELS,
    **first_sound.MODELS,
    **mnist.MODELS,
    **next_token.MODELS,
    **synthetic.MODELS,
    **synthetic_images.MODELS,
    **tabular.MODELS,
    **tsne.MODELS,
}
