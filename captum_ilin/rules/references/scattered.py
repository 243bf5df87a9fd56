"""Scatters between two points: values moved, added, averaged, multiplied or the largest taken.

The largest of a group, y = z_i and y' = z'_j: Δz_i ≥ Δy ≥ Δz_j, so Δy is a mean of the two, of
weights λ = (Δy − Δz_j) / (Δz_i − Δz_j) and 1 − λ. Those that are equally large share.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.rule import Kind
from captum_ilin.rules.between import stepped
from captum_ilin.rules.references.polynomials import polynomial
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    End = tuple[tuple[Any, ...], Tensor]

__all__ = ["RULES"]

RULES = RuleTable()


def placed(input: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
    """``torch.scatter`` without a reduction, as an op of its own."""
    given = tuple(value for value in (input, source) if isinstance(value, Tensor))
    if not has_torch_function(given):
        return torch.scatter(input, dim, index, source)
    result: Tensor = handle_torch_function(placed, given, input, dim, index, source)
    return result


RULES.runs(Kind.AFFINE, placed)


@RULES.decomposes(torch.scatter, Tensor.scatter)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    source = value if src is None else src
    if reduce is None:
        return placed(input, dim, index, source)
    if not isinstance(source, Tensor):
        source = torch.full(index.shape, source, dtype=input.dtype, device=input.device)
    name = {"add": "sum", "multiply": "prod"}[reduce]
    return torch.scatter_reduce(input, dim, index, source, name)


@RULES.decomposes(*writings("scatter"))
def scatter_(input: Tensor, *args: Any, **named: Any) -> Tensor:
    return input.copy_(torch.scatter(input, *args, **named))


@RULES.decomposes(*spellings("scatter_reduce"))
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Any:
    source = src[tuple(map(slice, index.shape))]
    ones = torch.ones(index.shape, dtype=input.dtype, device=input.device)
    counts = torch.zeros_like(input).scatter_add(dim, index, ones)
    if reduce in ("amax", "amin"):
        return largest(input, dim, index, source, reduce, include_self)
    if reduce == "prod":
        degree = int(counts.max()) + 1
        options = {"include_self": include_self}
        return polynomial(
            torch.scatter_reduce, degree, input, dim, index, source, reduce, **options
        )
    kept = torch.ones_like(counts) if include_self else (counts == 0).to(counts)
    sums = torch.scatter_add(input * kept, dim, index, source)
    return sums / (counts + kept) if reduce == "mean" else sums


@RULES.decomposes(*writings("scatter_reduce"))
def scatter_reduce_(input: Tensor, *args: Any, **named: Any) -> Tensor:
    return input.copy_(torch.scatter_reduce(input, *args, **named))


@RULES.decomposes(*spellings("index_reduce"))
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    shape = [1] * source.dim()
    shape[dim] = -1
    full = index.reshape(shape).expand(source.shape)
    return torch.scatter_reduce(input, dim, full, source, reduce, include_self=include_self)


@RULES.decomposes(*writings("index_reduce"))
def index_reduce_(input: Tensor, *args: Any, **named: Any) -> Tensor:
    return input.copy_(torch.index_reduce(input, *args, **named))


def largest(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool
) -> Tensor:
    """The largest or the smallest of each group, as an op of its own."""
    args = (input, dim, index, source, reduce, include_self)
    if not has_torch_function((input, source)):
        return _extreme(*args)
    result: Tensor = handle_torch_function(largest, (input, source), *args)
    return result


def _extreme(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool
) -> Tensor:
    return torch.scatter_reduce(input, dim, index, source, reduce, include_self=include_self)


@RULES.freezes(largest)
def shared(input: Tensor, *args: Any) -> Tensor:
    """Δy as a mean of what the largest at either point changed by."""

    def move(steps: tuple[Any, ...], here: End, there: End) -> Tensor:
        (z, *_), y = here
        (z_there, *_), y_there = there
        changes = (z - z_there, *here[0][1:3], here[0][3] - there[0][3])
        at_here, at_there = partial(_mean_of_largest, here), partial(_mean_of_largest, there)
        above, below = at_here(changes), at_there(changes)
        apart = above - below
        weight = (y - y_there - below) / apart.masked_fill(apart == 0, 1.0)
        weight = weight.masked_fill(apart == 0, 0.5)
        return weight * at_here(steps) + (1 - weight) * at_there(steps)

    return stepped(_extreme, move, input, *args)


def _mean_of_largest(end: End, steps: tuple[Any, ...]) -> Tensor:
    """The mean step of those that are the largest of their group at one point."""
    (input, dim, index, source, _, include_self), value = end
    ones = torch.ones_like(source)
    own = input == value
    if not include_self:
        own = own & (torch.zeros_like(input).scatter_add(dim, index, ones) == 0)
    chosen = (source == value.gather(dim, index)).to(value)
    count = torch.scatter_add(own.to(value), dim, index, chosen)
    total = torch.scatter_add(steps[0] * own, dim, index, steps[3] * chosen)
    return total / count
