"""Labels with a part flipped, and a small CNN trained on them, kept after every epoch."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEAD", "FlippedLabels", "SmallCNN", "flip", "snapshots"]

HEAD = "head"
WIDTH, BATCH, RATE = 64, 128, 2e-3


class FlippedLabels(NamedTuple):
    """Labels as they are trained on, (n,), and which of them are wrong, (n,) of bool."""

    labels: Tensor
    are_wrong: Tensor


def flip(labels: Tensor, share: float, classes: int, seed: int) -> FlippedLabels:
    """Give a share of the examples, drawn at random, one of the other classes.

    >>> import torch
    >>> found = flip(torch.zeros(10).long(), 0.3, 4, seed=0)
    >>> int(found.are_wrong.sum()), bool((found.labels[found.are_wrong] != 0).all())
    (3, True)
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(labels)
    rows = torch.randperm(count, generator=generator)[: round(share * count)]
    moved = torch.randint(1, classes, (len(rows),), generator=generator)
    found, are_wrong = labels.clone(), torch.zeros(count, dtype=torch.bool)
    found[rows] = (labels[rows] + moved) % classes
    are_wrong[rows] = True
    return FlippedLabels(found, are_wrong)


class SmallCNN(nn.Module):
    """Two convolutions, 64 features, and the linear head that representer points are of."""

    def __init__(self, side: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(32 * (-(-side // 4)) ** 2, WIDTH), nn.ReLU()),
        )
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def snapshots(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    epochs: int,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> list[nn.Module]:
    """The network after each epoch of Adam, in evaluation mode; determined by the seed."""
    found: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SmallCNN(images.shape[-1], classes)
        optimizer = torch.optim.Adam(network.parameters(), RATE)
        for _ in range(epochs):
            for rows in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimizer.step()
            optimizer.zero_grad()
            found.append(copy.deepcopy(network).eval())
            tick()
    return found
