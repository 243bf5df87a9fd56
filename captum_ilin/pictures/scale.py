"""``Scale``: from −limit, blue, through 0, white, to limit, red, and its colour bar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from captum_ilin.pictures.colours import SIGNED_MAP
from captum_ilin.pictures.drawing import wrapped
from captum_ilin.pictures.errors import PictureInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["BAR", "SIDES", "Scale"]

BAR, THICK = 1.0, 0.17  # inches: what a bar takes with its numbers and label; without them
SIDES = "\nagainst  ←      →  for"  # a second line beside the scale of contributions
BEYOND = 0.005  # of all values may lie beyond a scale's end
SIZE = 9.0  # points


@dataclass(frozen=True)
class Scale:
    """The colours of all panels of a figure.

    Attributes:
        limit: greater than 0.
        label: what is drawn, and its unit.
        is_clipped: whether values lie beyond; then the bar has pointed ends.
    """

    limit: float
    label: str
    is_clipped: bool = False

    @classmethod
    def of(cls, maps: Sequence[Tensor], label: str, limit: float | None = None) -> Scale:
        """The scale that all maps share.

        Args:
            maps: what is drawn in it.
            label: what is drawn, and its unit.
            limit: its end; None lets ``BEYOND`` of all values lie beyond, so that a few
                do not make the rest pale; inf takes the largest size of a value.

        Raises:
            PictureInputError: the limit is not positive.
        """
        sizes = torch.cat([values.abs().flatten() for values in maps])
        largest = float(sizes.max())
        if limit is None:
            limit = float(sizes.sort().values[math.ceil((1 - BEYOND) * len(sizes)) - 1])
            limit = limit or largest or 1.0
        elif limit == math.inf:
            limit = largest or 1.0
        if not limit > 0:
            raise PictureInputError(
                f"limit must be greater than 0, because it is the end of a scale from −limit "
                f"to limit, but got {limit}. Leave it out, or pass math.inf for the largest "
                "value."
            )
        return cls(float(limit), label, is_clipped=largest > limit)

    def draw(self, figure: Figure, axes: list[Axes]) -> None:
        """The colour bar beside the axes, with its ends, its zero and its unit."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        height = figure.get_figheight() - 0.6
        bar = figure.colorbar(
            ScalarMappable(Normalize(-self.limit, self.limit), SIGNED_MAP),
            ax=axes,
            extend="both" if self.is_clipped else "neither",
            extendfrac=min(0.05, 0.15 / height),
            aspect=height / THICK,
            fraction=0.1,
            pad=0.02,
        )
        bar.outline.set_visible(False)
        lines = [wrapped(line, height, SIZE) for line in self.label.split("\n")]
        bar.set_label("\n".join(lines), fontsize=SIZE)
