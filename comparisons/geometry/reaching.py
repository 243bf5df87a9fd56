"""How far the map of each image holds on the way to its decision boundary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from captum_ilin import linearize
from captum_ilin.companions.geometry import local_boundary
from comparisons.geometry.records import ReachRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from captum_ilin.companions.geometry import LocalBoundary

__all__ = ["crossing", "reach_of"]

FARTHEST, POINTS, HALVINGS = 3.0, 301, 30


def reach_of(
    network: str,
    seed: int,
    model: nn.Module,
    images: Tensor,
    tick: Callable[[], object] = lambda: None,
) -> ReachRecord:
    """The record of one network, over images that each cost a pass for each unit at most."""
    found: list[LocalBoundary] = []
    crossings, ties = [], [0.0]
    for image in images.split(1):
        boundary = local_boundary(linearize(model, image), reach="margin_bound")
        direction = boundary.direction
        assert not isinstance(direction, tuple)
        crossings.append(crossing(model, image, direction))
        if boundary.is_inside:
            ties.append(_tie(model, image + direction, boundary))
        found.append(boundary)
        tick()
    count = len(found)
    return ReachRecord(
        network,
        seed,
        count,
        sum(each.is_inside for each in found) / count,
        sum(each.is_certified for each in found) / count,
        sum(each.exit < each.distance for each in found) / count,
        _median([each.exit / each.distance for each in found]),
        _median([each.radius / each.distance for each in found]),
        _median([each.distance for each in found]),
        max(ties),
        sum(map(math.isfinite, crossings)) / count,
        _quartiles(crossings),
    )


@torch.no_grad()
def crossing(model: nn.Module, image: Tensor, direction: Tensor) -> float:
    """The multiple of the way at which the network predicts another class first.

    By evaluation alone, at 300 places up to three times the way and then by halving; inf where
    the class stays the same. Two changes between neighbouring places go unseen.
    """
    own = model(image).argmax()
    steps = torch.linspace(0, FARTHEST, POINTS, dtype=image.dtype)
    places = image + steps.reshape(-1, *[1] * (image.dim() - 1)) * direction
    changed = (model(places).argmax(1) != own).nonzero()
    if not len(changed):
        return math.inf
    first = int(changed[0])
    low, high = float(steps[first - 1]), float(steps[first])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        has_changed = bool(model(image + middle * direction).argmax() != own)
        low, high = (low, middle) if has_changed else (middle, high)
    return high


@torch.no_grad()
def _tie(model: nn.Module, place: Tensor, boundary: LocalBoundary) -> float:
    logits = model(place)[0]
    gap = logits[boundary.predicted] - logits[boundary.rival]
    return float(gap.abs() / logits.abs().max())


def _median(values: list[float]) -> float:
    return _quantile(values, 0.5)


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    return _quantile(values, 0.25), _quantile(values, 0.5), _quantile(values, 0.75)


def _quantile(values: list[float], at: float) -> float:
    """The value at that rank, so that some may be infinite."""
    return sorted(values)[min(int(at * len(values)), len(values) - 1)]
