"""The modes a frozen run needs, whatever the caller's: derivatives on, compilation off."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gradients_on", "running_eagerly"]


@contextmanager
def gradients_on() -> Iterator[None]:
    """Derivatives can be taken inside, also for callers under no_grad or inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def running_eagerly() -> Iterator[None]:
    """``torch.compile``d code runs uncompiled inside, so that its op calls are seen.

    The compiler is asked only where something has imported it; importing it takes seconds.
    """
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
