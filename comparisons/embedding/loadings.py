"""``Loadings``: y = W x + b at each point, whose two rows of W are the point's own loadings.

A principal component is one loading vector for all points; an encoder has two for each.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin import in_double, linearize

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Loadings", "double_of", "loadings_of", "plane_overlap"]


@dataclass(frozen=True)
class Loadings:
    """Exact loadings of some points, in float64.

    Attributes:
        points: x, (n, \\*features).
        weight: W, (n, 2, \\*features), in units of the map for a unit of a feature.
        bias: b, (n, 2), from the ledger. It holds the map's arbitrary origin.
        coordinates: y, (n, 2), by the encoder as it is.
    """

    points: Tensor
    weight: Tensor
    bias: Tensor
    coordinates: Tensor

    @property
    def contributions(self) -> Tensor:
        """W ∘ x, (n, 2, \\*features): what each feature adds to each coordinate."""
        return self.weight * self.points[:, None]

    @property
    def completeness_error(self) -> float:
        """The largest |Σ W ∘ x + b − y|, relative to the largest |y|."""
        told = self.contributions.flatten(2).sum(2) + self.bias
        return float((told - self.coordinates).abs().max() / self.coordinates.abs().max())


def loadings_of(encoder: nn.Module, points: Tensor) -> Loadings:
    """The loadings of points, each under its own affine map.

    Args:
        encoder: (n, \\*features) → (n, 2), row by row; it is copied, and stays as it is.
        points: (n, \\*features).

    Cost: a forward pass, two backward passes and the ledger, for all points together.
    """
    double, points = double_of(encoder), points.detach().double()
    affine_map = linearize(in_double(double), points, strict=True)
    weight = affine_map.weight()
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        coordinates = double(points)
    return Loadings(points, weight, affine_map.bias(), coordinates)


def double_of(encoder: nn.Module) -> nn.Module:
    """A copy of the encoder in float64."""
    return copy.deepcopy(encoder).double().eval()


def plane_overlap(rows: Tensor, plane: Tensor) -> Tensor:
    """How much of one plane lies in another: mean cos² of the angles between them, (n,).

    Args:
        rows: (n, 2, features), two vectors that span each plane.
        plane: (2, features), orthonormal.

    Returns:
        From 0 (at right angles) to 1 (the same); 2/features for random planes, on average.

    >>> import torch
    >>> axes = torch.eye(4)
    >>> plane_overlap(axes[None, 1:3], axes[:2])
    tensor([0.5000])
    """
    basis = torch.linalg.qr(rows.transpose(1, 2)).Q
    return (plane @ basis).square().sum((1, 2)) / 2
