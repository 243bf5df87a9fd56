"""Derivatives on, whatever the caller's mode: Captum calls methods under ``no_grad``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gradients_on"]


@contextmanager
def gradients_on() -> Iterator[None]:
    """Derivatives can be taken inside, also for callers under no_grad or inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
