"""What is done to a network, or to its images: pruning, noise, blur, and less contrast.

Pixels are in 0–1. Noise is drawn once for all networks, so that each sees the same images.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from skimage.filters import gaussian
from torch import Tensor, nn
from torch.nn.utils import prune

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CONDITIONS", "Condition", "blurred", "noisy", "pruned", "without_contrast"]


def pruned(model: nn.Module, share: float) -> nn.Module:
    """A copy without the smallest weights of all its convolutions and linear layers.

    One threshold for all of them, and biases stay (``prune.global_unstructured``, by size).
    """
    found = copy.deepcopy(model)
    layers = [m for m in found.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    places = [(layer, "weight") for layer in layers]
    prune.global_unstructured(places, pruning_method=prune.L1Unstructured, amount=share)
    for layer in layers:
        prune.remove(layer, "weight")
    return found.eval()


def noisy(images: Tensor, deviation: float) -> Tensor:
    """Gaussian noise on every pixel, kept in 0–1."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    return (images + deviation * noise.to(images)).clamp(0, 1)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian filter, σ in pixels."""
    rows = [gaussian(image[0].numpy(), sigma=sigma, mode="constant") for image in images]
    return torch.stack([torch.as_tensor(row) for row in rows])[:, None].to(images)


def without_contrast(images: Tensor, kept: float) -> Tensor:
    """Each image drawn towards its own mean, of which a share of the differences is kept."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + kept * (images - mean)


@dataclass(frozen=True)
class Condition:
    """One thing that is done.

    Attributes:
        name: in tables.
        kind: "pruning" or "corruption".
        amount: how much of it.
    """

    name: str
    kind: str
    amount: float
    changed: Callable[[nn.Module, Tensor, float], tuple[nn.Module, Tensor]]

    def apply(self, model: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
        """The network and the images as they are then; the given ones stay as they are."""
        return self.changed(model, images, self.amount)


def _pruning(share: float) -> Condition:
    return Condition(
        f"pruned {100 * share:.0f} %",
        "pruning",
        share,
        lambda model, images, amount: (pruned(model, amount), images),
    )


def _corruption(
    name: str, amount: float, change: Callable[[Tensor, float], Tensor]
) -> Condition:
    return Condition(
        f"{name} {amount:g}",
        "corruption",
        amount,
        lambda model, images, amount: (model, change(images, amount)),
    )


CONDITIONS = (
    *(_pruning(share) for share in (0.5, 0.7, 0.8, 0.9)),
    *(_corruption("noise", amount, noisy) for amount in (0.1, 0.2, 0.3)),
    *(_corruption("blur", amount, blurred) for amount in (0.5, 1.0)),
    *(_corruption("contrast", amount, without_contrast) for amount in (0.5, 0.3)),
)
