"""Random numbers of a metric: from a seed or a generator, the same on every device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Seed", "drawing_from", "generator_of", "number_of"]

Seed = int | torch.Generator


def generator_of(seed: Seed) -> torch.Generator:
    """A CPU generator; a given one is used as it is and moves on."""
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator("cpu").manual_seed(seed)


def number_of(seed: Seed) -> int:
    """An int to seed several equal draws with; a given generator moves on by one draw."""
    if isinstance(seed, torch.Generator):
        return int(torch.randint(2**31, (), generator=seed, device=seed.device))
    return seed


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """PyTorch's global generators start at ``seed`` inside, and go on after as they were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
