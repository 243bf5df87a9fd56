"""``norms``: how large the rows and the columns of W are, from one pass over it.

The norm of row o, √Σ_i W_oi², is how far the best change of the input of norm 1 moves output o;
that of column i, √Σ_o W_oi², how far a change of feature i moves the outputs. Rows u W, or
columns W v, of unit vectors come one after another, from the side that has fewer of them. Of
each only its squares are kept, added up to both kinds of sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from captum_ilin.errors import NotOfferedError
from captum_ilin.examples import check_apart, check_first_dimensions, flat, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.operator import Operator
    from captum_ilin.space import Space

    Progress = Callable[[int, int], object]

__all__ = ["Norms", "norms"]

_WHAT = "Norms"


class Norms(NamedTuple):
    """The l2 norms of W's rows and columns.

    Attributes:
        rows: for each part of what W gives, shaped like it.
        columns: for each part of what W takes, shaped like it.
    """

    rows: tuple[Tensor, ...]
    columns: tuple[Tensor, ...]


def norms(W: Operator, progress: Progress | None) -> Norms:
    """The norms of each example's block of W.

    Squares are added up in float64, where that of no float32 overflows or vanishes.

    Args:
        progress: called after each row or column with how many are done, and of how many.

    Raises:
        NotOfferedError: examples that are not told apart, or complex numbers.
    """
    check_first_dimensions(W, _WHAT)
    _check_real(W)
    if size(W.domain) < size(W.codomain):
        columns, rows = _along_and_across(W, progress)
    else:
        rows, columns = _along_and_across(W.T, progress)
    return Norms(rows, columns)


def _check_real(W: Operator) -> None:
    if any(part.is_complex() for part in (*W.domain.patterns, *W.codomain.patterns)):
        raise NotOfferedError(
            f"Norms are those of a real W, but {W!r} has complex numbers on a side. Linearize "
            "`lambda x: torch.view_as_real(model(x))`."
        )


def _along_and_across(
    W: Operator, progress: Progress | None
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The norms of W's columns, which are computed one after another, and those of its rows."""
    check_apart(W, _WHAT)
    count, first = size(W.domain), W.domain.patterns[0]
    along = first.new_zeros(len(first), count, dtype=torch.float64)
    across = [part.new_zeros(part.shape, dtype=torch.float64) for part in W.codomain.patterns]
    for number in range(count):
        column = W._apply(_unit(W.domain, number))
        for part, total in zip(column, across, strict=True):
            squares = part.double().square()
            total += squares
            along[:, number] += flat(squares).sum(1).to(along.device)
        if progress is not None:
            progress(number + 1, count)
    return _roots(_parts(along, W.domain), W.domain), _roots(across, W.codomain)


def _unit(space: Space, number: int) -> tuple[Tensor, ...]:
    """The vector that is 1 at one number of every example and 0 elsewhere."""
    parts = []
    for pattern in space.patterns:
        part, numbers = pattern.new_zeros(pattern.shape), pattern[0].numel()
        if 0 <= number < numbers:
            flat(part)[:, number] = 1  # into ``part``, of which it is a view
        parts.append(part)
        number -= numbers
    return tuple(parts)


def _parts(numbers: Tensor, space: Space) -> list[Tensor]:
    """Each example's numbers, (batch, numbers), in the shapes of the space's parts."""
    sizes = [pattern[0].numel() for pattern in space.patterns]
    return [
        part.reshape(pattern.shape)
        for part, pattern in zip(numbers.split(sizes, 1), space.patterns, strict=True)
    ]


def _roots(squares: list[Tensor], space: Space) -> tuple[Tensor, ...]:
    """The square roots, rounded once, to the dtypes of the space's parts."""
    return tuple(
        part.sqrt().to(pattern) for part, pattern in zip(squares, space.patterns, strict=True)
    )
