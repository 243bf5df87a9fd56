"""Perturbations of the infidelity: Gaussian noise, or subsets replaced by the baseline.

A perturbation draws once, for all examples: an example alone meets the same draws as in a
batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError

if TYPE_CHECKING:
    from captum_ilin.metrics.features import Features

__all__ = ["BaselineSubset", "GaussianNoise", "Perturbation"]


class Perturbation(Protocol):
    """What ``infidelity`` asks of a perturbation.

    >>> from captum_ilin.metrics import GaussianNoise, Perturbation
    >>> noise: Perturbation = GaussianNoise(0.1)
    """

    def draw(self, features: Features, samples: int, generator: torch.Generator) -> Tensor:
        """(samples, …): one draw for each sample, on the CPU."""

    def perturbed(
        self, features: Features, drawn: Tensor, examples: Tensor, base: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """A tuple of (rows, \\*features): each row's example under the row's draw."""


@dataclass(frozen=True)
class GaussianNoise:
    """x̃ = x − I with I drawn from N(0, σ²) for each value by itself.

    Args:
        scale: σ, in the units of the inputs.

    Raises:
        MetricInputError: a scale that is not above 0.

    >>> from captum_ilin.metrics import GaussianNoise
    >>> GaussianNoise(0.2)
    GaussianNoise(scale=0.2)
    """

    scale: float = 0.1

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise MetricInputError(f"The noise's scale is {self.scale}; expected above 0.")

    def draw(self, features: Features, samples: int, generator: torch.Generator) -> Tensor:
        """(samples, size) the noise.

        Raises:
            MetricInputError: the inputs are integers, which noise does not move a little.
        """
        for part in features.parts:
            if not part.is_floating_point():
                raise MetricInputError(
                    f"An input has dtype {part.dtype}; expected a floating-point one, because "
                    "it is moved by noise. Pass perturbation=BaselineSubset(), or the "
                    "embeddings of tokens instead."
                )
        size = features.values.shape[1]
        return self.scale * torch.randn(samples, size, generator=generator, dtype=torch.float64)

    def perturbed(
        self, features: Features, drawn: Tensor, examples: Tensor, base: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """A tuple of (rows, \\*features)."""
        return features.shaped(features.values[examples].double() - drawn)


@dataclass(frozen=True)
class BaselineSubset:
    """x̃ = x with a random subset of features at the baseline, each with the same probability.

    Args:
        probability: that a feature is replaced, above 0 and at most 1.

    Raises:
        MetricInputError: a probability out of range.

    >>> from captum_ilin.metrics import BaselineSubset
    >>> BaselineSubset()
    BaselineSubset(probability=0.5)
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise MetricInputError(
                f"The probability of a feature is {self.probability}; expected above 0 and "
                "at most 1."
            )

    def draw(self, features: Features, samples: int, generator: torch.Generator) -> Tensor:
        """(samples, count) bool: which features are replaced.

        A row of chances for each feature, so that more features in another example's mask
        leave these as they are.
        """
        chances = torch.rand(features.count, samples, generator=generator, dtype=torch.float64)
        return (chances < self.probability).T

    def perturbed(
        self, features: Features, drawn: Tensor, examples: Tensor, base: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """A tuple of (rows, \\*features)."""
        return features.replaced(examples, drawn, base)
