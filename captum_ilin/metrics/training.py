"""Networks in training mode: said aloud, and left as they were."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from captum_ilin.errors import TrainingModeWarning
from captum_ilin.metrics.chance import drawing_from
from captum_ilin.sideeffects import buffers_kept, modules_of
from captum_ilin.warning import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["unchanged", "warn_of_training"]


def warn_of_training(forward_func: Any) -> None:
    """Warn of modules whose output depends on chance or on the other rows."""
    names = sorted({type(module).__name__ for module in _training(forward_func)})
    if names:
        warn(
            TrainingModeWarning,
            f"The network is in training mode: {', '.join(names)} gives outputs that depend on "
            "chance or on the other rows, and so do the metrics. Call .eval() on it first.",
        )


@contextmanager
def unchanged(forward_func: Any) -> Iterator[None]:
    """Buffers, and the generators that dropout draws from, are afterwards as they were."""
    if not _training(forward_func):
        yield
        return
    with buffers_kept(forward_func), drawing_from(0):
        yield


def _training(forward_func: Any) -> list[nn.Module]:
    return [
        module
        for root in modules_of(forward_func)
        for module in root.modules()
        if module.training and _varies(module)
    ]


def _varies(module: nn.Module) -> bool:
    if isinstance(module, _DropoutNd):
        return module.p > 0
    return isinstance(module, _BatchNorm | nn.RReLU)
