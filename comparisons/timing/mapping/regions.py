"""Where a line leaves the region, beside one forward-mode pass of the network as it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin import linearize
from comparisons.timing.mapping.networks import PIECEWISE_LINEAR
from comparisons.timing.mapping.timed import timed_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["REGIONS", "calls"]

PLAIN = "torch.func.jvp"


def calls(model: nn.Module, x: Tensor) -> dict[str, Callable[[], Any]]:
    """What is timed; the map, and for its exit the region, are made before."""
    model.requires_grad_(False)  # else jvp records the parameters' graph besides
    affine_map = linearize(model, x)
    region = affine_map.region()
    direction = torch.randn_like(x)
    return {
        PLAIN: lambda: _along(model, x, direction),
        "region.exit": lambda: region.exit(direction),
        "region": affine_map.region,
    }


def _along(model: nn.Module, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs, and their derivative along the direction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own decompositions
        found = torch.func.jvp(model, (x,), (direction,))
    return found[0], found[1]


_TEXT = (
    f"{PLAIN}: the derivative of all outputs of the network as it is along a direction, "
    "with parameters that take no gradient. region.exit: the step at which the first of "
    "all units along that direction changes its piece. region: made once, for every "
    "direction: that all ops are piecewise affine, and the number of units."
)
REGIONS = timed_part(
    "Regions", _TEXT, calls, (PLAIN, "region.exit", "region"), PIECEWISE_LINEAR
)
