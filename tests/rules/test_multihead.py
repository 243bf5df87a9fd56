"""nn.MultiheadAttention and torch.nn's transformers in all their options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, linearize

TABLES = [DEFAULT_RULES, TANGENT_RULES]
WIDTH, HEADS, BATCH, LENGTH = 8, 2, 2, 4
PADDING = torch.tensor([[False, False, False, True], [False, False, False, False]])
CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
ADDED = torch.linspace(-1, 1, BATCH * HEADS * LENGTH * LENGTH).double()

OPTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"need_weights": False}),
    ({}, {"need_weights": False, "attn_mask": CAUSAL, "is_causal": True}),
    ({}, {"attn_mask": CAUSAL, "average_attn_weights": False}),
    ({}, {"key_padding_mask": PADDING}),
    ({}, {"key_padding_mask": PADDING, "attn_mask": CAUSAL, "need_weights": False}),
    ({}, {"attn_mask": ADDED.reshape(BATCH * HEADS, LENGTH, LENGTH)}),
    ({"bias": False}, {}),
    ({"add_bias_kv": True}, {"key_padding_mask": PADDING}),
    ({"add_zero_attn": True}, {"attn_mask": CAUSAL}),
    ({"add_bias_kv": True, "add_zero_attn": True}, {"need_weights": False}),
    ({"kdim": WIDTH, "vdim": WIDTH}, {}),
    ({"dropout": 0.3}, {}),
]


def _randomized(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize(("made", "called"), OPTIONS)
def test_self_attention(made: dict[str, Any], called: dict[str, Any], table: Any) -> None:
    attention = _randomized(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **made))

    def forward(x: Tensor) -> Tensor:
        attended, pattern = attention(x, x, x, **called)
        return attended if pattern is None else attended + 0.1 * pattern.sum()

    x = torch.randn(BATCH, LENGTH, WIDTH, dtype=torch.float64)
    affine_map = linearize(forward, x, rules=table, strict=True)
    assert affine_map.check(tolerance=1e-12).unregistered == {}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_cross_attention_without_a_batch_dimension(table: Any) -> None:
    attention = _randomized(nn.MultiheadAttention(WIDTH, HEADS, kdim=3, vdim=5))
    key, value = torch.randn(LENGTH, 3).double(), torch.randn(LENGTH, 5).double()

    def forward(query: Tensor, value: Tensor) -> Tensor:
        return attention(query[0], key, value[0])[0].unsqueeze(0)

    query = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    linearize(forward, (query, value.unsqueeze(0)), rules=table, strict=True).check(1e-12)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_and_decoder(norm_first: bool, activation: str, table: Any) -> None:
    options = {"batch_first": True, "norm_first": norm_first, "activation": activation}
    encoder_layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, **options)
    encoder = _randomized(nn.TransformerEncoder(encoder_layer, 2, enable_nested_tensor=False))
    decoder_layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 16, **options)
    decoder = _randomized(nn.TransformerDecoder(decoder_layer, 2))

    def forward(source: Tensor, target: Tensor) -> Tensor:
        memory = encoder(source, src_key_padding_mask=PADDING)
        return decoder(target, memory, tgt_mask=CAUSAL, memory_key_padding_mask=PADDING)

    source, target = torch.randn(2, BATCH, LENGTH, WIDTH, dtype=torch.float64)
    linearize(forward, (source, target), rules=table, strict=True).check(1e-12)
