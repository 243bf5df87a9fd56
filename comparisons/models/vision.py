"""torchvision, also where its compiled ops do not match the installed torch.

A torchvision built for another torch build cannot register its own ops and then fails to
import, although its classifiers need none of them. Declaring the schemas of two ops first is
enough; where torchvision imports as it is, nothing is declared.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["make_torchvision_importable", "torchvision_models"]

_declared: list[Any] = []  # a Library forgets its ops when it is collected


def torchvision_models() -> ModuleType:
    """``torchvision.models``."""
    make_torchvision_importable()
    import torchvision

    models: ModuleType = torchvision.models
    return models


def make_torchvision_importable() -> None:
    """For packages that import torchvision by themselves where it is installed."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401  # only to see whether it imports as it is
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        _declared.append(library)
        for op in ("nms", "qnms"):
            library.define(op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
