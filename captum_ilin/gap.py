"""``Gap``: where a piece of a piecewise affine op ends, as a function that is 0 there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Gap"]


class Gap(NamedTuple):
    """h = value − at, one for each unit: affine on the piece, which ends where h reaches 0.

    Attributes:
        value: computed from the op's arguments so that it can be differentiated.
        at: where the value has its kink.
        side: what h = 0 belongs to: 1, the piece with h ≥ 0, −1, that with h ≤ 0, or 0,
            neither: a tie, which ends the piece whichever way the unit moves.
        candidate: the last part of a unit's index, after its place in ``value``.
    """

    value: Tensor
    at: float = 0.0
    side: int = 1
    candidate: tuple[int, ...] = ()

    @property
    def distance(self) -> Tensor:
        """h."""
        return self.value - self.at if self.at else self.value

    def unit(self, position: int) -> tuple[int, ...]:
        """Index of the unit at this place in the flattened value."""
        place = torch.unravel_index(torch.tensor(position), self.value.shape)
        return (*map(int, place), *self.candidate)
