"""Numbers as they stand in a picture: checked on the way in, and written alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.pictures.errors import PictureInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["drawable", "labels_for", "short", "shortened", "written_like"]

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
            "Choose one of a tuple by index; convert another array with torch.as_tensor."
        )
    if values.is_complex():
        raise PictureInputError(
            f"{name} must be real numbers to be drawn, but got {values.dtype}. Draw the real "
            "and the imaginary part each."
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


def written_like(values: Sequence[float]) -> Callable[[float], str]:
    """How all of some numbers are written: signed, with the decimals that the largest needs.

    >>> write = written_like([12.5, -0.25])
    >>> write(12.5), write(-0.25), write(0.001)
    ('+12.50', '−0.25', '0.00')
    >>> written_like([2.5e-9])(-1e-9)
    '−1.000e−09'
    """
    largest = max((abs(value) for value in values), default=0.0)
    places = DIGITS - 1 - math.floor(math.log10(largest)) if largest else 1
    if places > 8 or largest >= 1e6:
        return lambda value: f"{value:+.{DIGITS - 1}e}".replace("-", "−")
    return lambda value: _signed(value, max(0, places))


def _signed(value: float, places: int) -> str:
    """A minus as long as a plus; no sign where all that is shown is 0."""
    written = f"{value:+.{places}f}"
    return written.replace("-", "−") if float(written) else written[1:]


def short(path: str, letters: int) -> str:
    """The end of a long path, where those of modules differ.

    >>> short("encoder.layers.0.norm", 12)
    '…yers.0.norm'
    """
    return path if len(path) <= letters else f"…{path[-(letters - 1) :]}"


def shortened(label: str, letters: int) -> str:
    """The beginning of a long label.

    >>> shortened("golden retriever", 12)
    'golden retr…'
    """
    return label if len(label) <= letters else f"{label[: letters - 1]}…"
