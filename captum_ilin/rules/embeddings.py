"""Embedding bags by their definition: look up, weigh, then sum, average or take the largest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

RULES = RuleTable()


@RULES.decomposes(F.embedding_bag)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """PyTorch's own kernel has no second derivative."""
    bags, count = _bag_of_each(input, offsets, include_last_offset)
    rows = F.embedding(input.reshape(-1), weight, None, max_norm, norm_type)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    if padding_idx is not None:
        kept = input.reshape(-1) != padding_idx % len(weight)
        rows, bags = rows[kept], bags[kept]
    start = rows.new_zeros(count, weight.shape[1])
    if mode == "max":
        index = bags.unsqueeze(1).expand(rows.shape)
        return start.scatter_reduce(0, index, rows, "amax", include_self=False)
    sums = start.index_add(0, bags, rows)
    if mode == "sum":
        return sums
    return sums / bags.bincount(minlength=count).clamp_min(1).unsqueeze(1)


def _bag_of_each(
    input: Tensor, offsets: Tensor | None, include_last_offset: bool
) -> tuple[Tensor, int]:
    """The number of the bag that each entry of ``input`` is in, and the number of bags."""
    if offsets is None:
        count, size = input.shape
        return torch.arange(count, device=input.device).repeat_interleave(size), count
    starts = offsets[:-1] if include_last_offset else offsets
    ends = torch.cat([starts[1:], starts.new_tensor([len(input)])])
    numbers = torch.arange(len(starts), device=input.device)
    return numbers.repeat_interleave(ends - starts), len(starts)
