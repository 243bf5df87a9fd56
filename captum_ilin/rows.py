"""Rows of W for every output, several at once within a budget of memory.

The first row tells what one takes, a pair what several take together. Rows are computed
together by mapping the backward pass over them; where an op cannot be mapped, one by one.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.allocation import Allocation
from captum_ilin.casting import NO_AUTOCAST
from captum_ilin.derivatives import weights_of
from captum_ilin.errors import BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable

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
    _check(budget, alone.peak)
    limit = max(_ENOUGH, alone.peak) if budget is None else budget
    count = each.shape[1]
    result = tuple(weight.new_empty(len(weight), count, *weight.shape[1:]) for weight in first)
    _write(result, 0, _alone(first))
    del first  # not held while the others are computed
    together = _rows_together(outputs, leaves, count, limit, 2 * alone.peak)
    start = 1
    while start < count:
        stop = min(start + together, count)
        if together > 1:
            _write(result, start, _mapped(outputs, leaves, start, stop))
        else:
            _write(result, start, _alone(row(each[:, start])))
        start = stop
    return result


def _check(budget: int | None, one: int) -> None:
    if budget is not None and budget < one:
        raise BudgetError(
            f"One row of W takes {one} bytes while it is computed, but the budget is {budget}. "
            f"Pass budget={one} or more, or explain fewer examples at once."
        )


def _rows_together(
    outputs: Tensor, leaves: tuple[Tensor, ...], count: int, limit: int, expected: int
) -> int:
    """How many rows fit, from what two take; 1 where the backward pass cannot be mapped."""
    if count < 3 or not outputs.requires_grad or expected > limit:
        return 1
    try:
        with warnings.catch_warnings(), Allocation() as pair:
            warnings.filterwarnings("error", message=".*performance drop.*batching rule")
            _mapped(outputs, leaves, 1, 3)
    except (RuntimeError, UserWarning):  # an op without a batching rule
        return 1
    return max(1, 2 * limit // max(pair.peak, 1))


def _mapped(outputs: Tensor, leaves: tuple[Tensor, ...], start: int, stop: int) -> Row:
    """Rows ``start`` to ``stop``, in front of the batch.

    By ``torch.func.vmap``: ``is_grads_batched`` takes convolutions one by one.
    """
    chosen = outputs.new_zeros(stop - start, len(outputs), outputs[0].numel())
    chosen.diagonal(start, 0, 2).fill_(1)
    reached: list[int] = []

    def pulled(combination: Tensor) -> Row:
        slopes = torch.autograd.grad(
            outputs, leaves, combination, retain_graph=True, allow_unused=True
        )
        reached[:] = [place for place, slope in enumerate(slopes) if slope is not None]
        return tuple(slope for slope in slopes if slope is not None)

    with NO_AUTOCAST.restored():
        found = torch.func.vmap(pulled)(chosen.reshape(-1, *outputs.shape))
    slopes: list[Tensor | None] = [None] * len(leaves)
    for place, slope in zip(reached, found, strict=True):
        slopes[place] = slope
    return weights_of(
        tuple(slopes), tuple(leaf.expand(stop - start, *leaf.shape) for leaf in leaves)
    )


def _alone(row: Row) -> Row:
    return tuple(weight[None] for weight in row)


def _write(result: Row, start: int, rows: Row) -> None:
    for whole, part in zip(result, rows, strict=True):
        whole[:, start : start + len(part)] = part.movedim(0, 1)
