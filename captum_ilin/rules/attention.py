"""Attention: the pattern is held, the values flow.

y = A0 · V with A0 = softmax(Q K^T · scale + mask) at the operating point. Where the values are
constant and only queries or keys are active, the pattern is all there is to explain: softmax
then keeps its tangent.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.activity import is_active
from captum_ilin.holding import hold
from captum_ilin.ruletable import RuleTable

__all__ = ["EXPLICIT", "RULES"]

RULES = RuleTable()
EXPLICIT = RuleTable()  # attention spelled out, for tables that do not hold the pattern


@RULES.decomposes(F.scaled_dot_product_attention)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention (Vaswani et al. 2017), with PyTorch's arguments."""
    if is_active(value) and dropout_p == 0.0 and not is_active(attn_mask):
        return mixed_values(query, key, value, attn_mask, is_causal, scale, enable_gqa)
    return attention_in_full(
        query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
    )


@EXPLICIT.decomposes(F.scaled_dot_product_attention)
def attention_in_full(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The same from matmul, softmax and matmul."""
    if enable_gqa:
        key, value = _repeated(key, query), _repeated(value, query)
    scores = query @ key.transpose(-2, -1) * _scale(query, scale)
    pattern = _masked(scores, attn_mask, is_causal).softmax(-1)
    return F.dropout(pattern, dropout_p) @ value


def mixed_values(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    """Attention as an op of its own, linear in ``value`` with the pattern held."""
    if not has_torch_function((query, key, value)):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    arguments = (query, key, value, attn_mask, is_causal, scale, enable_gqa)
    result: Tensor = handle_torch_function(mixed_values, (query, key, value), *arguments)
    return result


@RULES.freezes(mixed_values)
def held_pattern(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    query, key = hold(query), hold(key)
    if enable_gqa:
        key, value = _repeated(key, query), _repeated(value, query)
    return _HeldPattern.apply(query, key, value, attn_mask, is_causal, scale)


class _HeldPattern(torch.autograd.Function):
    """The fused kernel's value; backward A0^T u, the pattern computed again to save memory."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None,
        is_causal: bool,
        scale: float | None,
    ) -> Tensor:
        ctx.save_for_backward(query, key, attn_mask)
        ctx.is_causal, ctx.scale, ctx.batch = is_causal, scale, value.shape
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal, scale=scale
        )

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        query, key, attn_mask = ctx.saved_tensors
        with torch.no_grad():
            pattern = _pattern(query, key, attn_mask, ctx.is_causal, ctx.scale)
        pulled = pattern.transpose(-2, -1) @ vector
        return None, None, pulled.sum_to_size(ctx.batch), None, None, None


def _pattern(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    scores = (query * _scale(query, scale)) @ key.transpose(-2, -1)
    return _masked(scores, attn_mask, is_causal).softmax(-1)


def _scale(query: Tensor, scale: float | None) -> float:
    return query.shape[-1] ** -0.5 if scale is None else scale


def _masked(scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(~allowed.tril(), -torch.inf)
    if attn_mask is None:
        return scores
    if attn_mask.dtype == torch.bool:
        return scores.masked_fill(~attn_mask, -torch.inf)
    return scores + attn_mask


def _repeated(shared: Tensor, query: Tensor) -> Tensor:
    """Key or value heads repeated for grouped-query attention."""
    return shared.repeat_interleave(query.shape[-3] // shared.shape[-3], dim=-3)


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
    """nn.MultiheadAttention: project, attend, project."""
    batched = query.dim() == 3
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    if in_proj_weight is not None and not use_separate_proj_weight:
        weights = in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (
        F.linear(tensor, weight, bias)
        for tensor, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    mask = _joint_mask(attn_mask, key_padding_mask, batch, num_heads, query)
    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.repeat(1, batch, 1)])
        v = torch.cat([v, bias_v.repeat(1, batch, 1)])
        mask = None if mask is None else F.pad(mask, (0, 1))

    def heads(tensor: Tensor) -> Tensor:
        return tensor.reshape(-1, batch, num_heads, width // num_heads).permute(1, 2, 0, 3)

    q = heads(q)
    k = heads(k) if static_k is None else static_k.unflatten(0, (batch, num_heads))
    v = heads(v) if static_v is None else static_v.unflatten(0, (batch, num_heads))
    if add_zero_attn:
        k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        mask = None if mask is None else F.pad(mask, (0, 1))
    dropout = dropout_p if training else 0.0
    if need_weights:
        pattern = _masked(q @ k.transpose(-2, -1) * _scale(q, None), mask, False).softmax(-1)
        if dropout:
            pattern = F.dropout(pattern, dropout)
        attended = pattern @ v
    else:
        pattern = None
        attended = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout)
    attended = attended.permute(2, 0, 1, 3).reshape(length, batch, width)
    output = F.linear(attended, out_proj_weight, out_proj_bias)
    if pattern is not None and average_attn_weights:
        pattern = pattern.mean(1)
    if batched:
        return output, pattern
    return output.squeeze(1), None if pattern is None else pattern.squeeze(0)


def _joint_mask(
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    batch: int,
    num_heads: int,
    query: Tensor,
) -> Tensor | None:
    """Attention mask and key padding as one additive mask, (batch, heads or 1, L, S)."""
    mask = None
    if attn_mask is not None:
        mask = _additive(attn_mask, query)
        mask = mask.unflatten(0, (batch, num_heads)) if mask.dim() == 3 else mask[None, None]
    if key_padding_mask is not None:
        padding = _additive(key_padding_mask, query)[:, None, None, :]
        mask = padding if mask is None else mask + padding
    return mask


def _additive(mask: Tensor, query: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(query.dtype)
    return torch.zeros(mask.shape, dtype=query.dtype, device=mask.device).masked_fill(
        mask, -torch.inf
    )
