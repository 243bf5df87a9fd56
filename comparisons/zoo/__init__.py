"""The zoo: architectures people use, built offline with random weights, and certified.

``python -m comparisons zoo`` measures every one and writes docs/zoo.md; tests/test_zoo.py
asserts the same figures.
"""

from __future__ import annotations

from comparisons.zoo import timm, torchvision, transformers
from comparisons.zoo.architecture import Architecture

__all__ = ["ARCHITECTURES", "Architecture"]

ARCHITECTURES: tuple[Architecture, ...] = (
    *torchvision.ARCHITECTURES,
    *timm.ARCHITECTURES,
    *transformers.ARCHITECTURES,
)
