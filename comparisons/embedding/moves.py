"""``move``: a step along a point's loading, as its map foretells it and as the encoder does it.

From x along d = w_k / ‖w_k‖, the direction in which coordinate k grows fastest, the encoder is
W (x + t d) + b up to the exact step t* at which an activation changes, and in general not
beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin import in_double, linearize
from comparisons.embedding.loadings import double_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

__all__ = ["BEYOND", "INSIDE", "Move", "move"]

INSIDE = (0.25, 0.5, 0.75, 0.999)
BEYOND = (2.0, 8.0, 32.0, 128.0)


@dataclass(frozen=True)
class Move:
    """A step along a loading.

    Attributes:
        axis: 1 or 2.
        step: t*, as the ℓ2 length of the change of x.
        module: path of the module whose activation changes there.
        foretold: how far W says that the point moves on the map up to t*.
        inside: the largest ‖f(x + t d) − (W (x + t d) + b)‖ at ``INSIDE`` of t*, relative to
            the larger |y_k|.
        beyond: ‖f(x + t d) − (W (x + t d) + b)‖ at multiples of t*, each relative to how far W
            says that the point has moved.
    """

    axis: int
    step: float
    module: str
    foretold: float
    inside: float
    beyond: tuple[float, ...]


def move(
    encoder: nn.Module, point: Tensor, axis: int, beyond: Sequence[float] = BEYOND
) -> Move:
    """Step along the loading of one axis, and compare.

    Args:
        encoder: piecewise linear, (1, \\*features) → (1, 2); it is copied.
        point: x, (1, \\*features): a region is that of one point.
        axis: 1 or 2.
        beyond: the multiples of t* at which the map is compared with the encoder.

    Raises:
        captum_ilin.RegionError: the encoder is smooth, and has no region.

    Cost: three forward passes for the map and its region, and a few for the steps.
    """
    double, x = double_of(encoder), point.detach().double()
    affine_map = linearize(in_double(double), x, strict=True)
    weight = affine_map.weight(axis - 1)
    assert isinstance(weight, Tensor)
    direction = weight / weight.norm()
    exit = affine_map.region().exit(direction)
    slope = affine_map(x + direction) - affine_map(x)

    @torch.no_grad()
    def error(times: float) -> float:
        there = x + times * exit.step * direction
        return float((double(there) - affine_map(there)).norm())

    foretold = exit.step * float(slope.norm())
    inside = max(map(error, INSIDE)) / float(affine_map.outputs.abs().max())
    far = tuple(error(times) / (times * foretold) for times in beyond)
    return Move(axis, exit.step, exit.module, foretold, inside, far)
