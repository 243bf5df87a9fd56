"""Attention's pattern is computed in blocks of queries: the blocks are the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import check_affine_map, linearize
from captum_ilin.rules import attention

QUERIES, KEYS = 7, 5
MASK = torch.linspace(-1, 1, QUERIES * KEYS, dtype=torch.float64).reshape(QUERIES, KEYS)
MASK[3, 2:] = -torch.inf
OPTIONS: list[dict[str, Any]] = [
    {},
    {"is_causal": True},
    {"attn_mask": MASK},
    {"attn_mask": MASK > -0.9},
    {"attn_mask": MASK[:1]},
    {"attn_mask": MASK.expand(2, 4, -1, -1), "scale": 0.3},
    {"enable_gqa": True, "is_causal": True},
]


@pytest.mark.parametrize("queries", [QUERIES, 2])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
def test_blocks_are_the_whole_pattern(
    options: dict[str, Any], queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict(options)
    if "attn_mask" in options:
        mask = options["attn_mask"]
        options["attn_mask"] = mask[..., :queries, :]
    heads = 2 if "enable_gqa" in options else 4
    query = torch.randn(2, 4, queries, 3, dtype=torch.float64)
    key = torch.randn(2, heads, KEYS, 3, dtype=torch.float64)

    def forward(value: Tensor) -> Tensor:
        rows = len(value)
        return F.scaled_dot_product_attention(query[:rows], key[:rows], value, **options)

    value = torch.randn(2, heads, KEYS, 3, dtype=torch.float64)
    plain = torch.autograd.functional.jacobian(lambda v: forward(v).sum((2, 3)), value)
    for block in (1, 3, 100):
        monkeypatch.setattr(attention, "BLOCK", block)
        affine_map = linearize(lambda v: forward(v).sum((2, 3)), value, strict=True)
        weight = affine_map.weight()
        assert isinstance(weight, Tensor)
        for row in range(2):
            assert torch.allclose(weight[row], plain[row, :, row], atol=1e-13)
        affine_map.check()


def test_a_broadcast_value_is_summed_over_the_heads_that_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "BLOCK", 2)
    query, key = torch.randn(2, 1, 4, KEYS, 3, dtype=torch.float64).unbind(0)
    value = torch.randn(1, 1, KEYS, 3, dtype=torch.float64)
    check_affine_map(linearize(lambda v: F.scaled_dot_product_attention(query, key, v), value))
