"""Random numbers of a metric: from a seed or a generator, the same on every device."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Seed", "drawing_from", "generator_of", "number_of"]

Seed = int | torch.Generator


def generator_of(seed: Seed) -> torch.Generator:
    """A CPU generator: a given one, which moves on, or one that a GPU's draws the seed of."""
    if isinstance(seed, torch.Generator) and seed.device.type == "cpu":
        return seed
    return torch.Generator("cpu").manual_seed(int(number_of(seed)))


def number_of(seed: Seed) -> int:
    """An int to seed several equal draws with; a given generator moves on by one draw."""
    if isinstance(seed, torch.Generator):
        return int(torch.randint(2**31, (), generator=seed, device=seed.device))
    return seed


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """All global generators start at ``seed`` inside, and afterwards are where they were.

    PyTorch's, NumPy's and Python's: Captum draws from NumPy's too (``GradientShap``).

    >>> import torch
    >>> from captum_ilin.metrics import drawing_from
    >>> with drawing_from(3):
    ...     first = torch.rand(2)
    >>> with drawing_from(3):
    ...     torch.equal(first, torch.rand(2))
    True
    """
    # torch.manual_seed queues a call, with its stack, for every accelerator not in use yet
    cuda = torch.cuda.is_initialized()
    states = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if cuda else []):
            torch.default_generator.manual_seed(seed)
            if cuda:
                torch.cuda.manual_seed_all(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
