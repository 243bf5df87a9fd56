"""``Grids``: images of different classes side by side, for the grid pointing game.

A classifier of one image is shown n×n of them at once; an explanation of one's class should
lie in that one's cell. Any network whose head pools over places takes the larger input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError

if TYPE_CHECKING:
    from captum_ilin.metrics.chance import Seed

__all__ = ["Grids", "grid_of"]


@dataclass(frozen=True)
class Grids:
    """Grids of n×n images.

    Attributes:
        inputs: (grids, channels, n·height, n·width)
        images: (grids, n²) which image each cell shows, cells row by row.
        cells: (n², 1, n·height, n·width) bool, the mask of each cell.

    >>> import torch
    >>> from captum_ilin.metrics import grid_of
    >>> grids = grid_of(torch.randn(8, 3, 5, 5), n=2)
    >>> grids.inputs.shape, grids.images.shape, grids.cells.shape
    (torch.Size([2, 3, 10, 10]), torch.Size([2, 4]), torch.Size([4, 1, 10, 10]))
    """

    inputs: Tensor
    images: Tensor
    cells: Tensor


def grid_of(
    images: Tensor,
    n: int = 2,
    *,
    classes: Tensor | None = None,
    confidence: Tensor | None = None,
    count: int | None = None,
    seed: Seed = 0,
) -> Grids:
    """Grids of n×n images, of different classes and the most confidently classified first.

    Without classes the images are laid out in their order. With them every grid takes n²
    classes at random and the most confident unused image of each, as in the paper.

    Args:
        images: (images, channels, height, width)
        n: cells along a side.
        classes: (images,) integers, the class each image is classified as; the targets of a
            grid are then ``classes[grids.images]``.
        confidence: (images,) the logit or probability of that class. Default: the images'
            order says which is the most confident.
        count: how many grids. Default: as many as the images give.
        seed: for the choice of classes.

    Raises:
        MetricInputError: too few images, or too few of different classes.

    Source: Böhle et al., *Convolutional dynamic alignment networks for interpretable
    classifications*, CVPR 2021, the localisation metric.

    >>> import torch
    >>> from captum_ilin.metrics import grid_of
    >>> classes = torch.tensor([0, 0, 1, 2, 3, 1])
    >>> grids = grid_of(torch.randn(6, 1, 4, 4), n=2, classes=classes)
    >>> classes[grids.images].sort().values
    tensor([[0, 1, 2, 3]])
    """
    if images.dim() != 4 or n < 1:
        raise MetricInputError(
            f"The images have shape {tuple(images.shape)} and n is {n}; expected (images, "
            "channels, height, width) and 1 or more cells along a side."
        )
    if classes is None:
        chosen = torch.arange(len(images) // n**2 * n**2).reshape(-1, n**2)
    else:
        chosen = _of_different_classes(classes, _order(confidence, len(images)), n**2, seed)
    if len(chosen) < (count or 1):
        raise MetricInputError(
            f"The images give {len(chosen)} grids; expected {count or 1}. A grid takes {n**2} "
            "images of different classes, and an image is used once."
        )
    chosen = chosen[:count]
    return Grids(_composed(images[chosen], n), chosen, _cells(images, n))


def _order(confidence: Tensor | None, count: int) -> list[int]:
    """Images from the most to the least confident."""
    if confidence is None:
        return list(range(count))
    return confidence.detach().cpu().argsort(descending=True, stable=True).tolist()


def _of_different_classes(classes: Tensor, order: list[int], size: int, seed: Seed) -> Tensor:
    """(grids, size) images: each grid of different classes, no image twice."""
    generator = generator_of(seed)
    unused: dict[int, list[int]] = {}
    for image in order:
        unused.setdefault(int(classes[image]), []).append(image)
    grids: list[list[int]] = []
    while len(unused) >= size:
        known = sorted(unused)
        drawn = torch.randperm(len(known), generator=generator)[:size].tolist()
        grids.append([unused[known[place]].pop(0) for place in drawn])
        unused = {name: images for name, images in unused.items() if images}
    return torch.tensor(grids, dtype=torch.long).reshape(-1, size)


def _composed(images: Tensor, n: int) -> Tensor:
    """(grids, n², channels, height, width) laid out row by row."""
    grids, _, channels, height, width = images.shape
    rows = images.reshape(grids, n, n, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return rows.reshape(grids, channels, n * height, n * width)


def _cells(images: Tensor, n: int) -> Tensor:
    height, width = images.shape[2:]
    cells = torch.eye(n**2, dtype=torch.bool, device=images.device)
    return _composed(cells[:, :, None, None, None].expand(-1, -1, 1, height, width), n)
