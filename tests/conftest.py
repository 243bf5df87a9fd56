"""What every test shares: one seed, one thread, and a torchvision that can be imported."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def seeded_on_one_thread() -> Iterator[None]:
    """The same random numbers and the same order of sums, whatever the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def _declared_for_torchvision() -> torch.library.Library | None:
    """The two ops whose schemas torchvision expects, where its own build lacks them."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        import torchvision  # noqa: F401  # only to see whether it imports as it is
    except (RuntimeError, ImportError):
        library = torch.library.Library("torchvision", "DEF")
        for op in ("nms", "qnms"):
            library.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


TORCHVISION_OPS = _declared_for_torchvision()  # the schemas live as long as this reference
