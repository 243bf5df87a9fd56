"""Numbers as they stand in a picture: checked on the way in, and written alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.pictures.errors import PictureInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["decimals", "drawable", "labels_for", "short", "signed"]

DIGITS = 4  # of the largest number; smaller ones have as many decimals, so that they add up


def drawable(values: object, name: str, shapes: dict[int, str]) -> Tensor:
    """Values in float64 on the CPU, without a graph.

    Args:
        values: what the caller gave.
        name: of the argument.
        shapes: number of dimensions → how the shape is called.

    Raises:
        PictureInputError: no tensor, no such shape, empty, or not finite.
    """
    wanted = " or ".join(shapes.values())
    if not isinstance(values, Tensor):
        raise PictureInputError(
            f"{name} must be a tensor shaped {wanted}, but got {type(values).__name__}. "
            "Convert it with torch.as_tensor."
        )
    if values.dim() not in shapes or not values.numel():
        raise PictureInputError(
            f"{name} must be shaped {wanted}, but got {tuple(values.shape)}. Reshape it, or "
            "choose a part by index."
        )
    found = values.detach().to("cpu", torch.float64)
    if wrong := int((~found.isfinite()).sum()):
        raise PictureInputError(
            f"{name} must be finite to have a colour or a length, but {wrong} of "
            f"{found.numel()} values are NaN or infinite. Find out where they come from: "
            "AffineMap.check names the op."
        )
    return found


def labels_for(labels: Sequence[str] | None, count: int, what: str) -> list[str]:
    """The caller's labels, or "``what`` 0" and so on.

    Raises:
        PictureInputError: not one label for each.
    """
    if labels is None:
        return [f"{what} {number}" for number in range(count)]
    if isinstance(labels, str) or len(labels) != count:
        got = repr(labels) if isinstance(labels, str) else len(labels)
        raise PictureInputError(
            f"labels must be {count} texts, one for each {what}, but got {got}. Leave them "
            "out to number them."
        )
    return [str(label) for label in labels]


def decimals(values: Sequence[float]) -> int:
    """How many decimals give the largest of the values its digits."""
    largest = max((abs(value) for value in values), default=0.0)
    return max(0, DIGITS - 1 - math.floor(math.log10(largest))) if largest else 1


def signed(value: float, places: int) -> str:
    """With its sign, a minus as long as a plus; without one where all that is shown is 0.

    >>> signed(-1.25, 1), signed(-0.001, 1)
    ('−1.2', '0.0')
    """
    if places > 8:
        return f"{value:+.{DIGITS - 1}e}".replace("-", "−")
    written = f"{value:+.{places}f}"
    return written.replace("-", "−") if float(written) else written[1:]


def short(text: str, letters: int) -> str:
    """The end of a long text, where paths of modules differ.

    >>> short("encoder.layers.0.norm", 12)
    '…yers.0.norm'
    """
    return text if len(text) <= letters else f"…{text[-(letters - 1) :]}"
