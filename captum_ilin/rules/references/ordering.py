"""Ops that order by size, between two points: sort, top-k, k-th value, median, quantile.

The k-th of n is not a matter of two elements: where a third one jumps from one side to the
other, both the k-th at x and the one at x' may stay where they are while Δy does not vanish.
So a sort is taken as a sorting network, whose comparators take the smaller and the larger of
two places; each of them has its own λ, and D is the product of its stages. Every row and every
column of D sums to 1, and no entry is negative.

Source: Batcher 1968, Sorting networks and their applications, section 4 (odd-even merging).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_ilin.counterpart import counterpart
from captum_ilin.holding import hold
from captum_ilin.rules.selecting import ahead, selected, times
from captum_ilin.rules.spellings import spellings
from captum_ilin.ruletable import RuleTable
from captum_ilin.slope import Slope

__all__ = ["RULES", "partners_of"]

RULES = RuleTable()


def partners_of(count: int) -> Tensor:
    """(stages, count): for each place the one it is compared with, or itself."""
    stages, block = [torch.arange(count)], 1
    while block < count:
        apart = block
        while apart >= 1:
            stages.append(_stage(count, block, apart))
            apart //= 2
        block *= 2
    return torch.stack(stages)[1:]


def _stage(count: int, block: int, apart: int) -> Tensor:
    places = torch.arange(count)
    begun = places - apart % block
    is_low = (begun >= 0) & (begun // apart % 2 == 0) & (places + apart < count)
    low = places[is_low & (places // (2 * block) == (places + apart) // (2 * block))]
    partners = places.clone()
    partners[low], partners[low + apart] = low + apart, low
    return partners


@RULES.freezes(*spellings("sort"))
def sort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool | None = None,
    axis: int | None = None,
) -> Any:
    """Cost: ½ log²n stages, one number held for each element in each of them."""
    dim = dim if axis is None else axis
    result = hold(torch.sort, input, dim=dim, descending=descending, stable=bool(stable))

    def between(here: Tensor) -> tuple[Tensor, Slope]:
        before = counterpart()
        there = before.args[0] if before.args else before.kwargs["input"]
        return result[0], _network(here, there, dim, descending=descending)

    values = selected(input, between) if input.dim() else input * 1
    return torch.return_types.sort((values, result[1]))


def _network(here: Tensor, there: Tensor, dim: int, *, descending: bool) -> Slope:
    """D of sorting along ``dim``."""
    partners = partners_of(here.shape[dim]).to(here.device)
    kept = _shares(_rows(here, dim), _rows(there, dim), partners)

    def push(step: Tensor, *held: Tensor) -> Tensor:
        partners, kept = held
        rows = step.movedim(dim, -1)
        for partner, share in zip(partners, kept, strict=True):
            rows = times(rows, share) + times(rows[..., partner], 1 - share)
        return (rows.flip(-1) if descending else rows).movedim(-1, dim)

    def pull(vector: Tensor, *held: Tensor) -> Tensor:
        partners, kept = held
        rows = vector.movedim(dim, -1)
        rows = rows.flip(-1) if descending else rows
        for partner, share in zip(partners.flip(0), kept.flip(0), strict=True):
            rows = rows * share + (rows * (1 - share))[..., partner]
        return rows.movedim(-1, dim)

    return Slope(push, pull, (partners, kept))


def _rows(point: Tensor, dim: int) -> Tensor:
    """The sorted dimension last, NaN behind all others."""
    return point.movedim(dim, -1).nan_to_num(torch.inf, torch.inf, -torch.inf)


def _shares(here: Tensor, there: Tensor, partners: Tensor) -> Tensor:
    """For each stage and place, how much of what it holds after comes from itself."""
    kept = here.new_empty(len(partners), *here.shape)
    places = torch.arange(here.shape[-1], device=here.device)
    for number, partner in enumerate(partners):
        side = torch.where(partner > places, -1, 1)  # the place before takes the smaller
        others = here[..., partner], there[..., partner]
        kept[number] = ahead(side * (here - others[0]), side * (there - others[1]))
        here, there = (
            torch.where(side < 0, torch.minimum(own, other), torch.maximum(own, other))
            for own, other in zip((here, there), others, strict=True)
        )
    return kept


@RULES.decomposes(*spellings("msort"))
def msort(input: Tensor) -> Tensor:
    values: Tensor = torch.sort(input, 0)[0]
    return values


@RULES.decomposes(*spellings("topk"))
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    indices = torch.topk(input.detach(), k, dim, largest, sorted)[1]
    if not input.dim():
        values = input * 1
    elif sorted:
        values = torch.sort(input, dim, largest)[0].narrow(dim, 0, k)
    else:
        ranks = torch.argsort(torch.argsort(input.detach(), dim, largest), dim)
        values = torch.sort(input, dim, largest)[0].gather(dim, ranks.gather(dim, indices))
    return torch.return_types.topk((values, indices))


@RULES.decomposes(*spellings("kthvalue"))
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    indices = torch.kthvalue(input.detach(), k, dim, keepdim)[1]
    values = _of_rank(input, dim, torch.tensor(k - 1), keepdim=keepdim)
    return torch.return_types.kthvalue((values, indices))


def _of_rank(input: Tensor, dim: int, rank: Tensor, *, keepdim: bool) -> Tensor:
    """The element of a rank, one for all or one for each row with ``dim`` of size 1."""
    if not input.dim():
        return input * 1
    sorted, shape = torch.sort(input, dim)[0], list(input.shape)
    shape[dim] = 1
    found = sorted.gather(dim, rank.to(input.device).expand(shape))
    return found if keepdim else found.squeeze(dim)


@RULES.decomposes(*spellings("median"))
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of two."""
    return _median(torch.median, input, dim, keepdim=keepdim)


@RULES.decomposes(*spellings("nanmedian"))
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    return _median(torch.nanmedian, input, dim, keepdim=keepdim)


def _median(op: Any, input: Tensor, dim: int | None, *, keepdim: bool) -> Any:
    if dim is None:
        return _of_rank(input.flatten(), 0, _middle(op, input.flatten(), 0), keepdim=False)
    indices = op(input.detach(), dim, keepdim)[1]
    values = _of_rank(input, dim, _middle(op, input, dim), keepdim=keepdim)
    return getattr(torch.return_types, op.__name__)((values, indices))


def _middle(op: Any, input: Tensor, dim: int) -> Tensor:
    """Its rank among those that count; NaN are last, and are the median of what holds one."""
    if not input.dim():
        return torch.tensor(0)
    last = torch.tensor(input.shape[dim] - 1)
    missing = torch.isnan(input.detach()).sum(dim, keepdim=True)
    if op is torch.median:
        return torch.where(missing > 0, last, last // 2)
    return ((last - missing) // 2).clamp_min(0)


@RULES.decomposes(*spellings("quantile"))
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Between the two elements whose ranks surround q (n − 1)."""
    rows, chosen = _rows_of(input, dim), _levels(q, input)
    last = torch.full((*rows.shape[:-1], 1), float(rows.shape[-1] - 1)).to(rows.detach())
    has_missing = torch.isnan(rows.detach()).any(-1, keepdim=True)
    ranks = torch.where(has_missing, last, chosen.flatten() * last)
    return _interpolated(input, rows, chosen, ranks, dim, interpolation, keepdim=keepdim)


@RULES.decomposes(*spellings("nanquantile"))
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    rows, chosen = _rows_of(input, dim), _levels(q, input)
    counted = (~torch.isnan(rows.detach())).sum(-1, keepdim=True) - 1
    ranks = (chosen.flatten() * counted.to(rows.dtype)).clamp_min(0)
    return _interpolated(input, rows, chosen, ranks, dim, interpolation, keepdim=keepdim)


def _rows_of(input: Tensor, dim: int | None) -> Tensor:
    if dim is None or not input.dim():
        return input.flatten()
    return input.movedim(dim, -1)


def _levels(q: Any, input: Tensor) -> Tensor:
    return torch.as_tensor(q, dtype=input.dtype, device=input.device)


_ROUNDED = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}


def _interpolated(
    input: Tensor,
    rows: Tensor,
    levels: Tensor,
    ranks: Tensor,
    dim: int | None,
    interpolation: str,
    *,
    keepdim: bool,
) -> Tensor:
    if interpolation in _ROUNDED:
        ranks = _ROUNDED[interpolation](ranks)
    sorted = torch.sort(rows, -1)[0]
    below = ranks.detach().floor()
    weights = torch.full_like(below, 0.5) if interpolation == "midpoint" else ranks - below
    found = sorted.gather(-1, below.long())
    if interpolation not in _ROUNDED:
        above = sorted.gather(-1, ranks.detach().ceil().long())
        found = torch.lerp(found, above, weights)
    if keepdim:
        kept = [1] * input.dim() if dim is None else list(rows.shape[:-1])
        found = found.movedim(-1, 0)
        full = (
            found.reshape(-1, *kept)
            if dim is None
            else found.unsqueeze(-1).movedim(-1, _behind(dim))
        )
    else:
        full = found.movedim(-1, 0)
    return full if levels.dim() else full[0]


def _behind(dim: int) -> int:
    """``dim`` where a dimension was put before all others."""
    return dim + 1 if dim >= 0 else dim
