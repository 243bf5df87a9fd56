"""``vote_maps``: training images that vote, and the pixels that each vote rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.pictures.drawing import styled
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.images import maps_of, pictures_of
from captum_ilin.pictures.numbers import drawable, labels_for, written_like
from captum_ilin.pictures.panels import Panel, panel_figure
from captum_ilin.pictures.scale import SIDES, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["vote_maps"]


@styled()
def vote_maps(
    image: Tensor,
    examples: Tensor,
    shares: Tensor,
    votes: Tensor,
    *,
    labels: Sequence[str] | None = None,
    name: str = "test image",
    limit: float | None = None,
    unit: str = "logit",
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """A test image, the training images that vote on it, and below each the pixels it counts.

    The maps lie over the *test* image's pixels: red ones raise the vote, blue ones lower it.
    A map's pixels and the rest, which goes back to constants, add up to the vote.

    Args:
        image: the test image, (channels, height, width) or (height, width), in 0–1 or uint8.
        examples: the training images, (k, channels, height, width) or (k, height, width).
        shares: what each pixel makes of each vote, shaped like the examples;
            ``VoteShares.features`` of one row.
        votes: the votes, (k,).
        labels (optional): a text for each training image. Default: "example 0", …
        name (optional): of the test image.
        limit, title, save (optional): as in `attribution_maps`.
        unit (optional): of the votes. Default: "logit".

    Returns:
        The figure, not shown.

    Raises:
        PictureInputError: shapes that do not go together, or ranges that cannot be drawn.
        PictureFileError, PicturePackageError: as in `attribution_maps`.

    >>> import torch
    >>> from captum_ilin import pictures
    >>> shares = torch.randn(3, 1, 8, 8)
    >>> votes = shares.sum((1, 2, 3)) + 0.5
    >>> image, examples = torch.rand(1, 8, 8), torch.rand(3, 1, 8, 8)
    >>> len(pictures.vote_maps(image, examples, shares, votes).axes)  # two rows and the bar
    9
    """
    maps = maps_of(shares, "shares")
    amounts = drawable(votes, "votes", {1: "(k,)"})
    if len(amounts) != len(maps):
        raise PictureInputError(
            f"votes must be {len(maps)} numbers, one for each map of shares, but got "
            f"{len(amounts)}."
        )
    shown = pictures_of(examples, maps)
    (seen,) = pictures_of(image[None] if image.dim() < 4 else image, maps[:1])
    names = labels_for(labels, len(maps), "example")
    sums = maps.sum((1, 2)).tolist()
    write = written_like([*amounts.tolist(), *sums])
    above = [
        Panel(f"{text}\nvote {write(vote)}", picture=picture)
        for text, vote, picture in zip(names, amounts.tolist(), shown, strict=True)
    ]
    below = [
        Panel(f"pixels {write(total)}\nrest {write(vote - total)}", values)
        for total, vote, values in zip(sums, amounts.tolist(), maps, strict=True)
    ]
    return panel_figure(
        [Panel(name, picture=seen), *above, Panel(""), *below],
        Scale.of(list(maps), f"share of the vote, {unit}{SIDES}", limit),
        columns=1 + len(maps),
        title=title or "Training images that vote, and the pixels each vote rests on",
        save=save,
    )
