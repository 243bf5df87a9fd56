"""Where a line leaves the region, beside one forward-mode pass of the network as it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin import linearize
from comparisons.timing.mapping import timed
from comparisons.timing.mapping.networks import PIECEWISE_LINEAR, network
from comparisons.timing.mapping.part import Part, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from comparisons.timing.mapping.part import Step

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


def _measured(name: str, repeats: int, step: Step) -> Iterator[timed.TimedRecord]:
    yield from timed.timed("regions", name, calls(*network(name)), repeats, step)


def _sections(rows: list[dict[str, Any]]) -> list[Section]:
    text = (
        f"{PLAIN}: the derivative of all outputs of the network as it is along a direction, "
        "with parameters that take no gradient. region.exit: the step at which the first of "
        "all units along that direction changes its piece. region: made once, for every "
        "direction: that all ops are piecewise affine, and the number of units."
    )
    lines = [timed.line(row) for row in rows]
    return [Section("Regions", text, timed.columns(PLAIN), lines)]


REGIONS = Part(
    "regions",
    models=PIECEWISE_LINEAR,
    steps=lambda repeats: timed.steps(3, repeats),
    measured=_measured,
    sections=_sections,
)
