"""``Neighbours``: the rows around each example, the same noise for all, and what they give.

x' = x + δ with δ uniform in [−radius, radius] for every value. Every example meets the same
δ's, so its number does not depend on what stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import as_tuple, batch_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.features import Inputs

__all__ = ["Neighbours"]


class Neighbours:
    """Rows near the inputs.

    Args:
        inputs: (batch, \\*features), or a tuple of such tensors.
        radius: the most that a value is moved by, in the inputs' units.
        n_samples: how many there are of each example.
        seed: an int, or a CPU generator.

    Attributes:
        examples: (batch · n_samples,) the example that each row is near.
    """

    def __init__(self, inputs: Inputs, radius: float, n_samples: int, seed: Seed) -> None:
        self.parts = tuple(part.detach() for part in as_tuple(inputs))
        self.is_tuple = isinstance(inputs, tuple)
        self.count = n_samples
        self.batch = batch_of(self.parts)
        self._check(radius)
        generator = generator_of(seed)
        self.noise = tuple(_noise(part, n_samples, radius, generator) for part in self.parts)
        every = torch.arange(self.batch, device=self.parts[0].device)
        self.examples = every.repeat_interleave(n_samples)

    def _check(self, radius: float) -> None:
        if not radius > 0 or self.count < 1:
            raise MetricInputError(
                f"radius is {radius} and n_samples {self.count}; expected a radius above 0 "
                "and 1 sample or more, because stability is measured at points around x."
            )
        for part in self.parts:
            if not part.is_floating_point():
                raise MetricInputError(
                    f"An input has dtype {part.dtype}; expected a floating-point one, because "
                    "it is moved by small noise. Pass the embeddings of tokens instead."
                )

    def shifts(self, first: int, count: int) -> tuple[Tensor, ...]:
        """δ of ``count`` samples from the ``first``, for every example in turn."""
        return tuple(
            noise[first : first + count].repeat(self.batch, *[1] * (noise.dim() - 1))
            for noise in self.noise
        )

    def rows(self, chosen: Tensor) -> tuple[Tensor, ...]:
        """(rows, \\*features) of each input, for the chosen of the batch · n_samples rows."""
        return tuple(
            part[self.examples[chosen]] + noise[chosen % self.count]
            for part, noise in zip(self.parts, self.noise, strict=True)
        )

    def map(
        self, function: Callable[[tuple[Tensor, ...], Tensor], Tensor], batch_size: int
    ) -> Tensor:
        """(batch, n_samples, …): ``function`` of (rows, their examples), so many at once."""
        every = torch.arange(len(self.examples), device=self.examples.device)
        found = [
            function(self.rows(chosen), self.examples[chosen])
            for chosen in every.split(batch_size)
        ]
        return torch.cat(found).unflatten(0, (self.batch, self.count))

    def given(self, parts: tuple[Tensor, ...]) -> Any:
        """In the form the inputs came in: a tensor, or a tuple."""
        return parts if self.is_tuple else parts[0]


def _noise(part: Tensor, n_samples: int, radius: float, generator: torch.Generator) -> Tensor:
    shape = (n_samples, *part.shape[1:])
    unit = torch.rand(shape, dtype=torch.float64, generator=generator)
    return ((2 * unit - 1) * radius).to(part)
