"""``nn.MultiheadAttention``: project, attend, project (Vaswani et al. 2017).

It reaches torch as one op; here it is spelled out, so that each part is frozen by its own
rule. Shapes are sequence first, (length, batch, width), as the op has them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.attention import masked, scale_of
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

RULES = RuleTable()


@RULES.decomposes(F.multi_head_attention_forward)
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """The op, with PyTorch's arguments: (attended, attention weights or None)."""
    unbatched = query.dim() == 2
    if unbatched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    if in_proj_weight is not None and not use_separate_proj_weight:
        weights = in_proj_weight.chunk(3)
    q, k, v = _projected((query, key, value), weights, in_proj_bias)
    mask = _joint_mask(attn_mask, key_padding_mask, query, num_heads)
    if bias_k is not None and bias_v is not None:
        k, v, mask = _lengthened(k, bias_k), _lengthened(v, bias_v), _widened(mask)
    q = _split(q, num_heads)
    k = _split(k, num_heads) if static_k is None else static_k.unflatten(0, (-1, num_heads))
    v = _split(v, num_heads) if static_v is None else static_v.unflatten(0, (-1, num_heads))
    if add_zero_attn:
        k, v, mask = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1)), _widened(mask)
    attended, pattern = _attended(q, k, v, mask, dropout_p if training else 0.0, need_weights)
    output = F.linear(_joined(attended), out_proj_weight, out_proj_bias)
    if pattern is not None and average_attn_weights:
        pattern = pattern.mean(1)
    if unbatched:
        return output.squeeze(1), None if pattern is None else pattern.squeeze(0)
    return output, pattern


def _projected(
    inputs: tuple[Tensor, ...], weights: tuple[Tensor, ...], bias: Tensor | None
) -> list[Tensor]:
    """Queries, keys and values."""
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]


def _lengthened(sequence: Tensor, item: Tensor) -> Tensor:
    """(length, batch, width) with one learned item (1, 1, width) more, every row's."""
    return torch.cat([sequence, item.repeat(1, sequence.shape[1], 1)])


def _split(tensor: Tensor, num_heads: int) -> Tensor:
    """(length, batch, width) → (batch, heads, length, width per head)."""
    return tensor.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3)


def _joined(tensor: Tensor) -> Tensor:
    """The inverse of ``_split``."""
    return tensor.permute(2, 0, 1, 3).flatten(2)


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    need_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """Mixed values, and the pattern if it is wanted."""
    if not need_weights:
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
        return mixed, None
    scores = query @ key.transpose(-2, -1) * scale_of(query, None)
    pattern = masked(scores, mask, False).softmax(-1)
    if dropout:
        pattern = F.dropout(pattern, dropout)
    return pattern @ value, pattern


def _joint_mask(
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    query: Tensor,
    num_heads: int,
) -> Tensor | None:
    """Attention mask and key padding as one additive mask, (batch, heads or 1, L, S)."""
    mask = None
    if attn_mask is not None:
        mask = _additive(attn_mask, query)
        mask = mask.unflatten(0, (-1, num_heads)) if mask.dim() == 3 else mask[None, None]
    if key_padding_mask is not None:
        padding = _additive(key_padding_mask, query)[:, None, None, :]
        mask = padding if mask is None else mask + padding
    return mask


def _widened(mask: Tensor | None) -> Tensor | None:
    """The mask with one more key, which every query may attend to."""
    return None if mask is None else F.pad(mask, (0, 1))


def _additive(mask: Tensor, query: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(query.dtype)
    return torch.zeros(mask.shape, dtype=query.dtype, device=mask.device).masked_fill(
        mask, -torch.inf
    )
