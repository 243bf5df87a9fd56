"""Rows of W for every output, several at once within a budget of memory.

The first row tells what one takes, a pair what several take together. Where the network has a
narrow waist, W = head · features is summed from the rows of the features instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.allocation import Allocation
from captum_ilin.errors import BudgetError
from captum_ilin.segment import Segment
from captum_ilin.waist import waist_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Row = tuple[Tensor, ...]

__all__ = ["every_row"]

# Rows computed together share the reading of the network's weights; beyond some ten
# megabytes their own values leave the cache, and nothing more is gained.
_ENOUGH = 2**26


def every_row(
    outputs: Tensor,
    leaves: tuple[Tensor, ...],
    row: Callable[[Tensor], Row],
    budget: int | None,
) -> Row:
    """W for each output, (batch, outputs, \\*features) for each leaf.

    Args:
        row: W for one output of each example, which it is given as (batch,).
        budget: the most bytes of tensors held at once, besides the result.

    Raises:
        BudgetError: one row takes more.
    """
    each = outputs.unsqueeze(-1).flatten(1)
    with Allocation() as alone:
        first = row(each[:, 0])
    one = alone.peak + _bytes((outputs.detach(),))  # with the vector that is passed back
    _check(budget, one)
    count = each.shape[1]
    result = tuple(weight.new_empty(len(weight), count, *weight.shape[1:]) for weight in first)
    _write(result, 0, tuple(weight[None] for weight in first))
    del first  # not held while the others are computed
    limit = max(_ENOUGH, one) if budget is None else budget
    # A head may take an eighth of the result where no budget is stated.
    for_head = limit // 2 if budget is not None else max(limit, _bytes(result) // 8)
    if not _compose(result, outputs, leaves, for_head, limit, one):
        whole = Segment.between(outputs, leaves)
        for start, rows in whole.chunks(limit, one, start=1):
            _write(result, start, rows)
            del rows  # not held while the next are computed
    return result


def _compose(
    result: Row,
    outputs: Tensor,
    leaves: tuple[Tensor, ...],
    for_head: int,
    limit: int,
    one: int,
) -> bool:
    """Sum W from the rows of a narrow waist, if there is one whose head fits."""
    waist = waist_of(outputs, leaves) if 2 * one <= limit else None
    if waist is None:
        return False
    count, used = outputs[0].numel(), waist.features.count
    size = outputs.element_size() * len(outputs) * count * used
    if size > for_head:
        return False
    head = outputs.new_empty(len(outputs), count, used)
    room = max(limit - size, one)
    for start, (rows,) in waist.head.chunks(room, one):
        _write(
            (head,), start, (rows.reshape(*rows.shape[:2], -1)[:, :, waist.features.columns],)
        )
        del rows
    for start, features in waist.features.chunks(room, one):
        for whole, rows in zip(result, features, strict=True):
            part = head[:, :, start : start + len(rows)]
            matrix = whole.view(*whole.shape[:2], -1)  # a view: the result is contiguous
            matrix.baddbmm_(
                part, rows.reshape(*rows.shape[:2], -1).movedim(0, 1), beta=float(start > 0)
            )
            del rows
        del features
    return True


def _check(budget: int | None, one: int) -> None:
    if budget is not None and budget < one:
        raise BudgetError(
            f"One row of W takes {one} bytes while it is computed, but the budget is {budget}. "
            f"Pass budget={one} or more, or explain fewer examples at once."
        )


def _bytes(tensors: Row) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _write(result: Row, start: int, rows: Row) -> None:
    for whole, part in zip(result, rows, strict=True):
        whole[:, start : start + len(part)] = part.movedim(0, 1)
