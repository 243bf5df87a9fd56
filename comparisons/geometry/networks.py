"""The networks that are measured: trained CNNs whose weights are kept, and a small one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comparisons.models import digits, fashion
from comparisons.models.tsne_data import digit_points, fashion_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparisons.models.tsne_data import Points

__all__ = ["DATA", "Source", "perceptron"]

UNITS, EPOCHS, BATCH, RATE = 16, 30, 64, 5e-3


@dataclass(frozen=True)
class Source:
    """Images, and the CNNs of several seeds that were trained on their kind.

    Attributes:
        points: reads the images.
        network: a seed → the trained CNN.
        seeds: those whose weights are kept.
        images: how many of the held-out images are measured.
    """

    points: Callable[[], Points]
    network: Callable[[int], nn.Module]
    seeds: tuple[int, ...]
    images: int


DATA = {
    "digits": Source(digit_points, lambda seed: digits.cnn(seed).model, digits.SEEDS, 450),
    "fashion": Source(fashion_points, lambda seed: fashion.cnn(seed).model, fashion.SEEDS, 400),
}


def perceptron(images: Tensor, labels: Tensor, classes: int, seed: int) -> nn.Module:
    """A network of 16 units, whose regions are large; determined by the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pixels = images[0].numel()
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, UNITS), nn.ReLU(), nn.Linear(UNITS, classes)
        )
        optimizer = torch.optim.Adam(network.parameters(), RATE)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimizer.step()
    return network.requires_grad_(requires_grad=True).eval()
