"""Random numbers of a metric: from a seed or a generator, the same on every device."""

from __future__ import annotations

import torch

__all__ = ["Seed", "generator_of"]

Seed = int | torch.Generator


def generator_of(seed: Seed) -> torch.Generator:
    """A CPU generator; a given one is used as it is and moves on."""
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator("cpu").manual_seed(seed)
