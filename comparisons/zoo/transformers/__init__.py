"""transformers' networks: tiny configurations of the library's own classes."""

from __future__ import annotations

from comparisons.zoo.transformers import decoders, encoders, speech, vision

__all__ = ["ARCHITECTURES"]

ARCHITECTURES = (
    *decoders.ARCHITECTURES,
    *encoders.ARCHITECTURES,
    *vision.ARCHITECTURES,
    *speech.ARCHITECTURES,
)
