"""``Pair``: why two points lie where they lie relative to each other.

y₁ − y₂ = W₁ x₁ − W₂ x₂ + (b₁ − b₂). Feature by feature the first part is

    W₁ ∘ x₁ − W₂ ∘ x₂ = ½ (W₁ + W₂) ∘ (x₁ − x₂) + ½ (W₁ − W₂) ∘ (x₁ + x₂),

what the features differ by, weighed alike, and what they have in common, weighed otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from comparisons.embedding.loadings import Loadings

__all__ = ["Pair", "pair_of"]


@dataclass(frozen=True)
class Pair:
    """The difference of two coordinates, by features and bias.

    Attributes:
        by_features: ½ (W₁ + W₂) ∘ (x₁ − x₂), (2, \\*features).
        by_loadings: ½ (W₁ − W₂) ∘ (x₁ + x₂), (2, \\*features).
        by_bias: b₁ − b₂, (2,).
        difference: y₁ − y₂, (2,), by the encoder as it is.
    """

    by_features: Tensor
    by_loadings: Tensor
    by_bias: Tensor
    difference: Tensor

    @property
    def contributions(self) -> Tensor:
        """W₁ ∘ x₁ − W₂ ∘ x₂, (2, \\*features)."""
        return self.by_features + self.by_loadings

    @property
    def distance(self) -> float:
        """‖y₁ − y₂‖."""
        return float(self.difference.norm())

    @property
    def completeness_error(self) -> float:
        """The largest |Σ contributions + b₁ − b₂ − (y₁ − y₂)|, relative to the distance."""
        told = self.contributions.flatten(1).sum(1) + self.by_bias
        return float((told - self.difference).abs().max()) / self.distance

    def along(self, part: Tensor) -> Tensor:
        """A part's share in the distance: its projection on the line from point 2 to 1.

        Args:
            part: (2, \\*features) or (2,). Those of all features and of the bias add up to the
                distance.
        """
        unit = self.difference / self.distance
        return (unit.reshape(2, *[1] * (part.ndim - 1)) * part).sum(0)


def pair_of(loadings: Loadings, first: int, second: int) -> Pair:
    """The pair of two of the points.

    Args:
        loadings: of the points.
        first, second: which two.
    """
    W, x = loadings.weight, loadings.points
    return Pair(
        (W[first] + W[second]) * (x[first] - x[second]) / 2,
        (W[first] - W[second]) * (x[first] + x[second]) / 2,
        loadings.bias[first] - loadings.bias[second],
        loadings.coordinates[first] - loadings.coordinates[second],
    )
