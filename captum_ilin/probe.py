"""The random vectors that a map is measured along, the same ones every time.

All outputs are measured at once, combined by one such vector: an error in any of them shows in
the combination, save along directions of measure zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fixed_random_like"]


def fixed_random_like(tensor: Tensor) -> Tensor:
    """The same standard normal numbers every time, in the shape and dtype of ``tensor``."""
    generator = torch.Generator("cpu").manual_seed(0)
    values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64, device="cpu")
    return values.to(tensor)
