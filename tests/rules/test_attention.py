"""Scaled dot-product attention in all its options: W is A0 times the values' path."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, check_affine_map, linearize
from tests.definitions import Pair, assert_defined

BATCH, HEADS, WIDTH = 2, 2, 3
SEEN = torch.tensor([[True, True, False, True], [True, False, False, False]])  # of each row


def _projections(generator: int, heads: int = HEADS, shared: int = HEADS) -> list[Tensor]:
    """Weights of queries, keys and values: (heads, 4, WIDTH)."""
    torch.manual_seed(generator)
    return [torch.randn(count, 4, WIDTH).double() for count in (heads, shared, shared)]


def _pattern(
    query: Tensor, key: Tensor, allowed: Tensor, added: Tensor | float, scale: float
) -> Tensor:
    """A from its definition, row by row; rows that may look nowhere are zero."""
    exponentials = (torch.einsum("bhid,bhjd->bhij", query, key) * scale + added).exp()
    exponentials = exponentials * allowed
    total = exponentials.sum(-1, keepdim=True)
    return exponentials / torch.where(total == 0, torch.ones_like(total), total)


def _heads(x: Tensor, weight: Tensor) -> Tensor:
    """(batch, length, 4) → (batch, heads, length, WIDTH)."""
    return torch.einsum("bli,hid->bhld", x, weight)


EVERY = torch.ones(4, 4, dtype=torch.bool)
LOWER = torch.ones(4, 4, dtype=torch.bool).tril()
ADDED = torch.linspace(-2, 2, 16).double().reshape(4, 4)
BLIND = EVERY.clone()
BLIND[2] = False  # a query that may look nowhere


def _attended(
    x: Pair,
    weights: list[Tensor],
    allowed: Tensor = EVERY,
    added: Tensor | float = 0.0,
    scale: float = WIDTH**-0.5,
) -> Pair:
    """A0 · V, V from what is free."""
    query, key = _heads(x.point, weights[0]), _heads(x.point, weights[1])
    pattern = _pattern(query, key, allowed, added, scale)
    return x.map(lambda x: pattern @ _heads(x, weights[2]))


MASKED: list[tuple[str, dict[str, Any], Tensor, Tensor | float]] = [
    ("plain", {}, EVERY, 0.0),
    ("boolean", {"attn_mask": LOWER}, LOWER, 0.0),
    ("additive", {"attn_mask": ADDED}, EVERY, ADDED),
    (
        "additive infinity",
        {"attn_mask": torch.zeros(4, 4).double().masked_fill(~LOWER, -math.inf)},
        LOWER,
        0.0,
    ),
    ("causal", {"is_causal": True}, LOWER, 0.0),
    ("blind row", {"attn_mask": BLIND}, BLIND, 0.0),
    (
        "blind row, additive",
        {"attn_mask": torch.zeros(4, 4).double().masked_fill(~BLIND, -math.inf)},
        BLIND,
        0.0,
    ),
    ("scale", {"scale": 0.3}, EVERY, 0.0),
]


@pytest.mark.parametrize(
    ("options", "allowed", "added"), [m[1:] for m in MASKED], ids=[m[0] for m in MASKED]
)
def test_masks(options: dict[str, Any], allowed: Tensor, added: Any) -> None:
    weights = _projections(1)

    def forward(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(*(_heads(x, w) for w in weights), **options)

    def definition(x: Pair) -> Pair:
        scale = options.get("scale", WIDTH**-0.5)
        return _attended(x, weights, allowed, added, scale)

    assert_defined(forward, definition, torch.randn(BATCH, 4, 4).double())


def test_a_mask_for_each_row() -> None:
    weights = _projections(1)

    def forward(x: Tensor, seen: Tensor) -> Tensor:
        query, key, value = (_heads(x, w) for w in weights)
        return F.scaled_dot_product_attention(query, key, value, seen[:, None, None])

    def definition(x: Pair, seen: Tensor) -> Pair:
        return _attended(x, weights, seen[:, None, None])

    assert_defined(forward, definition, torch.randn(BATCH, 4, 4).double(), constants=(SEEN,))


@pytest.mark.parametrize("lengths", [(2, 5), (5, 2)])
def test_causal_with_other_lengths(lengths: tuple[int, int]) -> None:
    """The mask is aligned at the first query and the first key."""
    weights = _projections(2)
    allowed = torch.ones(lengths, dtype=torch.bool).tril()

    def forward(x: Tensor, memory: Tensor) -> Tensor:
        query = _heads(x, weights[0])
        key, value = _heads(memory, weights[1]), _heads(memory, weights[2])
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    def definition(x: Pair, memory: Pair) -> Pair:
        query, key = _heads(x.point, weights[0]), _heads(memory.point, weights[1])
        pattern = _pattern(query, key, allowed, 0.0, WIDTH**-0.5)
        return memory.map(lambda memory: pattern @ _heads(memory, weights[2]))

    inputs = (torch.randn(BATCH, length, 4).double() for length in lengths)
    assert_defined(forward, definition, *inputs)


@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("is_causal", [False, True])
def test_grouped_queries(shared: int, is_causal: bool) -> None:
    weights = _projections(3, heads=4, shared=shared)
    allowed = LOWER if is_causal else EVERY

    def forward(x: Tensor) -> Tensor:
        query, key, value = (_heads(x, w) for w in weights)
        return F.scaled_dot_product_attention(
            query, key, value, is_causal=is_causal, enable_gqa=True
        )

    def definition(x: Pair) -> Pair:
        served = [head * shared // 4 for head in range(4)]
        return _attended(x, [weights[0], weights[1][served], weights[2][served]], allowed)

    assert_defined(forward, definition, torch.randn(BATCH, 4, 4).double())


def test_an_active_mask_belongs_to_the_pattern() -> None:
    """A bias of the scores made from the input is part of the pattern, which is held."""
    weights = _projections(4)

    def forward(x: Tensor) -> Tensor:
        query, key, value = (_heads(x, w) for w in weights)
        mask = (x @ x.transpose(-2, -1)).unsqueeze(1)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def definition(x: Pair) -> Pair:
        added = torch.einsum("bli,bmi->blm", x.point, x.point).unsqueeze(1)
        return _attended(x, weights, added=added)

    assert_defined(forward, definition, torch.randn(BATCH, 4, 4).double() / 2)


@pytest.mark.parametrize("active", ["query", "key", "query and key"])
def test_constant_values_leave_the_pattern_to_explain(active: str) -> None:
    """W is then the Jacobian, halved where the scores are split between query and key."""
    memory, weights = torch.randn(BATCH, 4, 4).double(), _projections(5)

    def forward(x: Tensor) -> Tensor:
        query = _heads(x if "query" in active else memory, weights[0])
        key = _heads(x if "key" in active else memory, weights[1])
        return F.scaled_dot_product_attention(query, key, _heads(memory, weights[2]))

    x = torch.randn(BATCH, 4, 4).double()
    maps = [linearize(forward, x, rules=r, strict=True) for r in (DEFAULT_RULES, TANGENT_RULES)]
    for affine_map in maps:
        affine_map.check()
    share = 0.5 if active == "query and key" else 1.0
    ours, jacobian = maps[0].weight(), maps[1].weight()
    assert torch.allclose(ours, share * jacobian, rtol=0, atol=1e-14)


def test_dropout_of_the_pattern_in_evaluation() -> None:
    weights = _projections(6)

    def forward(x: Tensor, training: bool = False) -> Tensor:
        query, key, value = (_heads(x, w) for w in weights)
        p = 0.4 if training else 0.0
        return F.scaled_dot_product_attention(query, key, value, dropout_p=p)

    assert_defined(forward, lambda x: _attended(x, weights), torch.randn(BATCH, 4, 4).double())


def test_dropout_of_the_pattern_in_training_holds_one_mask() -> None:
    def forward(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.4)

    with pytest.warns(UserWarning, match="dropout ran in training mode"):
        linearize(forward, torch.randn(1, 2, 4, 3).double()).check()


def test_one_mask_for_all_heads_and_rows_is_independent_of_them() -> None:
    x = torch.randn(3, 2, 4, 3).double()
    mask = LOWER.expand(3, 1, 4, 4)
    check_affine_map(
        linearize(lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=mask[:1]), x)
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="flex_attention has a derivative there")
def test_flex_attention_refuses_on_the_cpu() -> None:
    """It has no derivative there; PyTorch's own message says so."""
    from torch.nn.attention.flex_attention import flex_attention

    x = torch.randn(1, 1, 4, 8)
    with pytest.raises(NotImplementedError, match="does not support backward on CPU"):
        linearize(lambda x: flex_attention(x, x, x), x)
