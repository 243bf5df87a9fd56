"""The trained networks of the comparison, by name."""

from __future__ import annotations

from comparisons.models import digits, efficientnet
from comparisons.models.network import Network

__all__ = ["MODELS", "Network"]

MODELS = {
    "digits_cnn": digits.cnn,
    "digits_vit": digits.vit,
    "efficientnet_lite0": efficientnet.lite0,
}
