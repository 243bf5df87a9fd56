"""The trained networks of the comparison, by name."""

from __future__ import annotations

from comparisons.models import digits, efficientnet, fashion, synthetic, synthetic_images
from comparisons.models.network import Model, Network

__all__ = ["MODELS", "Model", "Network"]

MODELS = {
    **digits.MODELS,
    **efficientnet.MODELS,
    **fashion.MODELS,
    **synthetic.MODELS,
    **synthetic_images.MODELS,
}
