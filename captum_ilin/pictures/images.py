"""Images and maps as tensors, brought to the shapes that are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.numbers import drawable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["in_blocks", "maps_of", "one_row", "over_channels", "pictures_of"]

MAPS = {
    2: "(height, width)",
    3: "(batch, height, width)",
    4: "(batch, channels, height, width)",
}


def maps_of(values: Tensor, name: str) -> Tensor:
    """(batch, height, width), summed over channels."""
    found = drawable(values, name, MAPS)
    return found[None] if found.dim() == 2 else over_channels(found)


def over_channels(values: Tensor) -> Tensor:
    """The sum over channels of (batch, channels, height, width); without channels as it is."""
    return values.sum(1) if values.dim() == 4 else values


def in_blocks(maps: Tensor, block: int) -> Tensor:
    """(batch, height, width) added up over squares of ``block`` pixels.

    Raises:
        PictureInputError: the squares do not fill the map.
    """
    _, height, width = maps.shape
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise PictureInputError(f"block must be an int of at least 1, but got {block!r}.")
    if height % block or width % block:
        raise PictureInputError(
            f"block must divide {height} and {width}, the height and width of the maps, so "
            f"that no pixel is left out, but got {block}."
        )
    squares = maps.unflatten(2, (-1, block)).unflatten(1, (-1, block))
    return squares.sum((2, 4))


def one_row(values: Tensor, row: int | None, name: str) -> Tensor:
    """The example of that number, still as a batch; all of them for None.

    Raises:
        PictureInputError: the batch has no such row.
    """
    if row is None:
        return values
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(values):
        raise PictureInputError(
            f"row must be an int from 0 to {len(values) - 1}, because {name} has "
            f"{len(values)} examples, but got {row!r}."
        )
    return values[row : row + 1]


def pictures_of(images: Tensor, like: Tensor) -> Tensor:
    """Images as they are drawn, (batch, height, width) or (batch, height, width, 3) in 0–1.

    Args:
        images: shaped as in ``MAPS``, in 0–1 or in uint8; one or three channels.
        like: (batch, height, width), the maps they belong to.

    Raises:
        PictureInputError: another size, number of channels, or range.
    """
    found = drawable(images, "images", MAPS)
    found = found / 255 if images.dtype == torch.uint8 else found
    found = found[None, None] if found.dim() == 2 else found
    found = found[:, None] if found.dim() == 3 else found
    _check_image(found, like)
    return found[:, 0] if found.shape[1] == 1 else found.movedim(1, -1)


def _check_image(images: Tensor, like: Tensor) -> None:
    batch, channels, *size = images.shape
    if [batch, *size] != list(like.shape) or channels not in (1, 3):
        raise PictureInputError(
            f"images must be {len(like)} of {like.shape[1]}×{like.shape[2]} with one or three "
            f"channels, like the maps beside them, but got {batch} of {size[0]}×{size[1]} "
            f"with {channels}."
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise PictureInputError(
            f"images must lie in 0–1 to be seen as they are, but lie in {low:.3g} to "
            f"{high:.3g}. Undo the preprocessing: images * deviation + mean."
        )
