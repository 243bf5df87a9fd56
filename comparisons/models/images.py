"""Baselines and feature masks of image networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.filters import gaussian

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["image_baselines", "pixel_blocks"]

BLUR = 1 / 7  # of the height: 4 of 28 pixels; an outline is gone and its place remains


def image_baselines(inputs: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """What stands for "nothing there" in an image; all but "zero" vary over it.

    Args:
        inputs: (examples, channels, height, width), preprocessed.
        mean: (1, channels, height, width), the mean image, preprocessed alike.

    Returns:
        "zero"; "mean", the mean image; "blur", every example blurred; "noise", uniform over
        the inputs' range, the same at every call.
    """
    return {
        "zero": torch.zeros_like(inputs[:1]),
        "mean": mean,
        "blur": _blurred(inputs),
        "noise": _noise(inputs),
    }


def _blurred(inputs: Tensor) -> Tensor:
    """With a Gaussian over height and width; beyond its edge an image goes on unchanged."""
    width = BLUR * inputs.shape[2]
    blurred = gaussian(
        inputs.numpy(), (0, 0, width, width), mode="nearest", preserve_range=True
    )
    return torch.from_numpy(np.ascontiguousarray(blurred))


def _noise(inputs: Tensor) -> Tensor:
    low, high = inputs.min(), inputs.max()
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(inputs.shape, generator=generator)


def pixel_blocks(inputs: Tensor, side: int) -> Tensor:
    """(1, channels, height, width): the number of each pixel's block, row after row.

    Args:
        inputs: (examples, channels, height, width); height and width multiples of ``side``.
        side: of a block, in pixels. The channels of a pixel belong together.
    """
    _, channels, height, width = inputs.shape
    blocks = torch.arange((height // side) * (width // side)).reshape(1, 1, height // side, -1)
    whole = blocks.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return whole.expand(1, channels, height, width).contiguous()
