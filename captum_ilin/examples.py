"""Each example's own numbers: vectors of a space as matrices, and whether W keeps them apart.

W of a batch is block diagonal where an example's outputs depend on that example alone: then a
vector that is zero in some examples gives zero in them, W v = 0 there. Where it does not, an
example has no map of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.errors import NotOfferedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captum_ilin.operator import Operator
    from captum_ilin.space import Space

__all__ = [
    "check_apart",
    "check_first_dimensions",
    "flat",
    "matrix",
    "not_apart",
    "size",
    "splits",
    "vectors",
]


def check_first_dimensions(W: Operator, what: str) -> None:
    """The first dimension is as long throughout, so that it can be the batch.

    Raises:
        NotOfferedError: it is not; ``what`` was asked for.
    """
    patterns = (*W.domain.patterns, *W.codomain.patterns)
    if len({pattern.shape[:1] for pattern in patterns}) > 1:
        raise NotOfferedError(
            f"{what} are those of each example's own map, but the first dimensions "
            f"of {W!r} differ, so it does not tell which numbers belong to an example. Use "
            "inputs whose first dimension is the batch."
        )


def check_apart(W: Operator, what: str) -> None:
    """No example's W v moves with another example's v.

    Any two examples differ in a binary digit of their numbers: for each digit a random v is
    zero in the examples where it is 0, and another where it is 1.

    Raises:
        NotOfferedError: some does; ``what`` was asked for.

    Cost: 2 log2(batch) products W v, rounded up.
    """
    generator = torch.Generator().manual_seed(0)
    for silent in splits(len(W.domain.patterns[0])):
        v = tuple(_random(pattern, silent, generator) for pattern in W.domain.patterns)
        leaked = (part[silent.to(part.device)].abs() > 0 for part in W._apply(v))
        if any(bool(part.any()) for part in leaked):
            raise not_apart(what)


def splits(batch: int) -> Iterator[Tensor]:
    """(batch,) of bool: of any two examples some hold the first alone, some the other."""
    numbers = torch.arange(batch)
    for digit in range((batch - 1).bit_length()):
        ones = (numbers >> digit) % 2 == 1
        yield ones
        yield ~ones


def _random(pattern: Tensor, silent: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn on the CPU: the same numbers whatever the device."""
    drawn = torch.randn(pattern.shape, generator=generator, dtype=torch.float64)
    drawn[silent] = 0
    return drawn.to(pattern)


def not_apart(what: str) -> NotOfferedError:
    """The error that examples have no maps of their own."""
    return NotOfferedError(
        f"{what} are those of each example's own map, but here an example's "
        "outputs depend on other examples too. Explain one example at a time, or put "
        "the model into evaluation mode."
    )


def size(space: Space) -> int:
    """How many numbers an example has."""
    return sum(pattern[0].numel() for pattern in space.patterns)


def flat(part: Tensor) -> Tensor:
    """(batch, numbers) of (batch, \\*any)."""
    return part.unsqueeze(-1).flatten(1)


def matrix(many: Tensor | tuple[Tensor, ...]) -> Tensor:
    """(batch, numbers, count) of vectors with their count in front."""
    parts = many if isinstance(many, tuple) else (many,)
    return torch.cat([part.unsqueeze(-1).flatten(2) for part in parts], 2).permute(1, 2, 0)


def vectors(columns: Tensor, space: Space) -> Tensor | tuple[Tensor, ...]:
    """The vectors of the space that are the columns of each example's matrix."""
    sizes = [pattern[0].numel() for pattern in space.patterns]
    parts = tuple(
        part.reshape(-1, *pattern.shape).to(pattern)
        for part, pattern in zip(
            columns.permute(2, 0, 1).split(sizes, 2), space.patterns, strict=True
        )
    )
    return parts if space.is_tuple else parts[0]
