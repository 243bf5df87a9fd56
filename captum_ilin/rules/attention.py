"""Attention: the pattern is held, the values flow.

y = A0 · V with A0 = softmax(Q K^T · scale + mask) at the operating point. Where the values are
constant and only queries or keys are active, the pattern is all there is to explain: softmax
then keeps its tangent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.activity import is_active
from captum_ilin.holding import hold
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EXPLICIT", "RULES", "attention_in_full", "masked", "mixed_values", "scale_of"]

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
    pattern = _pattern(query, key, attn_mask, is_causal, scale)
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
        result = F.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal, scale=scale
        )
        parts = (query, key, attn_mask)
        ctx.save_for_backward(*(_in_type_of(result, part) for part in parts))
        ctx.is_causal, ctx.scale, ctx.batch = is_causal, scale, value.shape
        return result

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        query, key, attn_mask = ctx.saved_tensors
        blocks = _blocks(query, key, attn_mask, ctx.is_causal, ctx.scale)
        pulled = vector.new_zeros(ctx.batch)
        for rows, pattern in blocks:
            part = pattern.transpose(-2, -1) @ vector[..., rows, :]
            unseen = key.shape[-2] - part.shape[-2]
            pulled = pulled + F.pad(part, (0, 0, 0, unseen)).sum_to_size(ctx.batch)
        return None, None, pulled, None, None, None


def _in_type_of(result: Tensor, part: Tensor | None) -> Tensor | None:
    """``part`` as autocast gives it to the kernel."""
    return part.to(result.dtype) if part is not None and part.is_floating_point() else part


def _pattern(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    scores = (query * scale_of(query, scale)) @ key.transpose(-2, -1)
    scores = masked(scores, attn_mask, is_causal)
    return scores.softmax(-1) if attn_mask is None else _softmax(scores, attn_mask)


BLOCK = 256  # queries whose pattern is in memory at once: memory is linear in tokens


def _blocks(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
) -> Iterator[tuple[slice, Tensor]]:
    """The pattern in blocks of queries; a causal block ends at its last query's key."""
    scaled, keys = query * scale_of(query, scale), key.transpose(-2, -1)
    for start in range(0, query.shape[-2], BLOCK):
        rows = slice(start, start + BLOCK)
        seen = keys[..., : start + BLOCK] if is_causal else keys
        with torch.no_grad():
            mask = _rows_of(attn_mask, rows)
            scores = masked(scaled[..., rows, :] @ seen, mask, False)
            if is_causal:
                later = torch.ones_like(scores, dtype=torch.bool).triu(start + 1)
                scores = scores.masked_fill(later, -torch.inf)
            pattern = scores.softmax(-1) if mask is None else _softmax(scores, mask)
        yield rows, pattern


def _rows_of(attn_mask: Tensor | None, rows: slice) -> Tensor | None:
    """The mask of these queries; one row, or none, is everyone's."""
    if attn_mask is None or attn_mask.dim() < 2 or attn_mask.shape[-2] == 1:
        return attn_mask
    return attn_mask[..., rows, :]


def _softmax(scores: Tensor, attn_mask: Tensor) -> Tensor:
    """Of queries that may look nowhere zero, as the op gives them, not softmax's 0/0."""
    allowed = attn_mask if attn_mask.dtype == torch.bool else attn_mask != -torch.inf
    blind = ~allowed.any(-1, keepdim=True)
    return scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)


def scale_of(query: Tensor, scale: float | None) -> float:
    """The factor of the scores; 1/√d by default."""
    return query.shape[-1] ** -0.5 if scale is None else scale


def masked(scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    """Scores with minus infinity, or what an additive mask adds, where not to look."""
    if is_causal:
        scores = scores + scores.new_full(scores.shape[-2:], -torch.inf).triu(1)
    if attn_mask is None:
        return scores
    if attn_mask.dtype == torch.bool:
        return scores.masked_fill(~attn_mask, -torch.inf)
    return scores + attn_mask


def _repeated(shared: Tensor, query: Tensor) -> Tensor:
    """Key or value heads repeated for grouped-query attention."""
    return shared.repeat_interleave(query.shape[-3] // shared.shape[-3], dim=-3)
