"""What SSIM and HOG compare: an attribution map as a picture, and whether it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricPackageError

if TYPE_CHECKING:
    from captum_ilin.metrics.features import Inputs

__all__ = ["GAUSSIAN_SIDE", "HOG_SIDE", "gradients", "not_a_picture", "pictures", "structure"]

GAUSSIAN_SIDE = 11  # the window of σ = 1.5, cut off at 3.5 σ
CELLS = 3  # cells along a side of a HOG block
HOG_SIDE = 2 * CELLS  # a cell of one pixel has no orientation
CELL_SIDE = 16  # as Adebayo et al.; smaller where three cells would not fit


def not_a_picture(parts: tuple[Tensor, ...], side: int) -> str | None:
    """Why a map cannot be read as a picture with sides of ``side`` pixels or more."""
    if len(parts) != 1 or parts[0].dim() not in (3, 4):
        return "The attributions are no image: not (batch, channels, height, width)."
    height, width = parts[0].shape[-2:]
    if min(height, width) < side:
        return f"The map has {height}×{width} pixels; {side}×{side} are needed."
    return None


def pictures(inputs: Inputs) -> Tensor:
    """(batch, height, width) float64: channels summed, each map by its largest |value|."""
    (part,) = inputs if isinstance(inputs, tuple) else (inputs,)
    summed = part.detach().to("cpu", torch.float64)
    if summed.dim() == 4:
        summed = summed.sum(1)
    largest = summed.abs().amax((1, 2), keepdim=True)
    return torch.where(largest == 0, summed, summed / largest)


def structure(first: Tensor, second: Tensor) -> float:
    """Gaussian SSIM of two (height, width) pictures with values from −1 to 1."""
    found: float = _package("metrics").structural_similarity(
        first.numpy(),
        second.numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=2.0,
    )
    return found


def gradients(picture: Tensor) -> Tensor:
    """(size,) histogram of oriented gradients: 9 orientations, blocks of 3×3 cells."""
    cell = tuple(min(CELL_SIDE, side // CELLS) for side in picture.shape)
    found = _package("feature").hog(
        picture.numpy(),
        orientations=9,
        pixels_per_cell=cell,
        cells_per_block=(CELLS, CELLS),
    )
    return torch.from_numpy(found)


def _package(module: str) -> Any:
    try:
        import skimage.feature
        import skimage.metrics
    except ImportError as error:
        raise MetricPackageError(
            "SSIM and HOG are computed by scikit-image, which is not installed. Install it "
            'with: python -m pip install "captum-ilin[metrics]"'
        ) from error
    return getattr(skimage, module)
