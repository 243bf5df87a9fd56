"""``RegionExit``: where a line x0 + t d leaves a region.

A gap h with the slope ∂h·d along d reaches 0 at t = −h / (∂h·d). Its rate (∂h·d)/h is −1/t, so
that the first gap to reach 0 is the one with the lowest rate, if that is negative. At h = 0 the
side that the piece lies on decides: a unit that moves into it never leaves, and one that
crosses over has left at t = 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from captum_ilin.line import Line, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from captum_ilin.affine import AffineMap
    from captum_ilin.gap import Gap
    from captum_ilin.ruletable import RuleTable

__all__ = ["RegionExit", "first_exit"]


class RegionExit(NamedTuple):
    """Where a line leaves a region.

    Attributes:
        step: t*, in multiples of the direction; inf if the pattern never changes.
        op: name of the op whose piece changes first, empty if none does.
        module: path of the module that called it.
        unit: index of the entry that changes: in the op's input, batch first; for pooling in
            its output, and then the place in the window; for sorting in sorted order.

    >>> print(RegionExit(0.5, "relu", "encoder.1", unit=(0, 3)))
    RegionExit(step=0.5, op='relu', module='encoder.1', unit=(0, 3))
    """

    step: float
    op: str = ""
    module: str = ""
    unit: tuple[int, ...] = ()


def first_exit(affine_map: AffineMap, direction: Sequence[Tensor]) -> RegionExit:
    """Where the line from the operating point first leaves the region."""
    line = _FirstExit(affine_map.freezing.rules)
    follow(line, affine_map, direction)
    return line.first


class _FirstExit(Line):
    def __init__(self, rules: RuleTable) -> None:
        super().__init__(rules)
        self.first = RegionExit(math.inf)
        self._lowest = 0.0

    def visit(self, name: str, gap: Gap, distance: Tensor, slope: Tensor) -> None:
        rates, lowest = _rates(distance, slope, gap.side)
        if lowest < self._lowest:
            self._lowest = lowest
            position = int(rates.argmin())
            step = abs(float(distance.flatten()[position] / slope.flatten()[position]))
            self.first = RegionExit(step, name, self._locator.path(), gap.unit(position))


def _rates(distance: Tensor, slope: Tensor, side: int) -> tuple[Tensor, float]:
    """−1/t of each unit, and the lowest: −∞ if it crosses its kink at once, ≥ 0 if never."""
    rates = slope / distance
    low, high = map(float, torch.aminmax(rates))
    if math.isnan(low):  # 0/0 does not move
        rates.nan_to_num_(nan=0.0, posinf=math.inf, neginf=-math.inf)
        low, high = map(float, torch.aminmax(rates))
    if math.isinf(low) or math.isinf(high):
        at_kink = (distance == 0) & (slope != 0)
        moves = slope[at_kink]
        crosses = moves != 0 if side == 0 else moves * side < 0
        rates[at_kink] = torch.where(crosses, -math.inf, 0.0).to(rates)
        low = float(rates.amin())
    return rates, low
