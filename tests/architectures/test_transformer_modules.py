"""nn.MultiheadAttention and torch.nn's transformer layers against their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import linearize
from tests.definitions import Pair, assert_defined, joined

WIDTH, HEADS, LENGTH = 4, 2, 3
CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)  # True: not to be seen
PADDING = torch.tensor([[False, False, True], [False, False, False]])
ADDED = torch.linspace(-1, 1, LENGTH * LENGTH).double().reshape(LENGTH, LENGTH)


def _randomized(module: nn.Module) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


def _tokens(width: int = WIDTH, length: int = LENGTH) -> Tensor:
    return torch.randn(2, length, width).double()


def _projections(module: nn.MultiheadAttention) -> tuple[list[Tensor], list[Tensor]]:
    if module.in_proj_weight is None:
        weights = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
    else:
        weights = list(module.in_proj_weight.chunk(3))
    if module.in_proj_bias is None:
        return weights, [torch.zeros(WIDTH).double()] * 3
    return weights, list(module.in_proj_bias.chunk(3))


def _attention(
    module: nn.MultiheadAttention, query: Pair, key: Pair, value: Pair, mask: Tensor | None
) -> Pair:
    """Head by head; ``mask`` is added to the scores, (length, length) or (batch, 1, length)."""
    weights, biases = _projections(module)
    q, k = query.point @ weights[0].T + biases[0], key.point @ weights[1].T + biases[1]
    v = value.map(lambda v: v @ weights[2].T + biases[2])
    if module.bias_k is not None:
        k, v = _and_bias(k, module.bias_k), v.map(lambda v: _and_bias(v, module.bias_v))
    if module.add_zero_attn:
        k, v = _and_zero(k), v.map(_and_zero)
    size, heads = WIDTH // HEADS, []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        scores = q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(size)
        if mask is not None:
            scores[..., : mask.shape[-1]] += mask
        weight = scores.exp() / scores.exp().sum(-1, keepdim=True)
        heads.append(v.map(lambda v, own=own, weight=weight: weight @ v[..., own]))
    out = module.out_proj
    bias = 0.0 if out.bias is None else out.bias
    return joined(lambda *heads: torch.cat(heads, -1) @ out.weight.T + bias, *heads)


def _and_bias(x: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([x, bias.expand(len(x), 1, -1)], 1)


def _and_zero(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_zeros(len(x), 1, x.shape[-1])], 1)


def _hidden(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape).double().masked_fill(mask, -math.inf)


CALLS: list[tuple[dict[str, Any], dict[str, Any], Tensor | None]] = [
    ({}, {}, None),
    ({}, {"need_weights": False}, None),
    ({}, {"average_attn_weights": False}, None),
    ({}, {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False}, _hidden(CAUSAL)),
    ({}, {"attn_mask": CAUSAL}, _hidden(CAUSAL)),
    ({}, {"attn_mask": ADDED, "need_weights": False}, ADDED),
    ({"bias": False}, {}, None),
    ({"add_bias_kv": True}, {"attn_mask": ADDED}, ADDED),
    ({"add_bias_kv": True, "add_zero_attn": True}, {"need_weights": False}, None),
    ({"add_zero_attn": True}, {"attn_mask": CAUSAL}, _hidden(CAUSAL)),
    ({"dropout": 0.5}, {"need_weights": False}, None),
    ({"batch_first": False}, {}, None),
]


@pytest.mark.parametrize(("made", "called", "mask"), CALLS)
def test_self_attention(made: Any, called: Any, mask: Tensor | None) -> None:
    module = _randomized(nn.MultiheadAttention(WIDTH, HEADS, **{"batch_first": True, **made}))

    def forward(x: Tensor) -> Tensor:
        if module.batch_first:
            return module(x, x, x, **called)[0]
        x = x.transpose(0, 1)
        return module(x, x, x, **called)[0].transpose(0, 1)

    assert_defined(forward, lambda x: _attention(module, x, x, x, mask), _tokens())


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("mask", [None, ADDED])
def test_padded_keys(mask: Tensor | None, need_weights: bool) -> None:
    module = _randomized(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))

    def forward(x: Tensor, padding: Tensor) -> Tensor:
        padded = _hidden(padding) if mask is not None else padding
        options = {"attn_mask": mask, "need_weights": need_weights}
        return module(x, x, x, key_padding_mask=padded, **options)[0]

    def definition(x: Pair, padding: Tensor) -> Pair:
        hidden = _hidden(padding)[:, None]
        return _attention(module, x, x, x, hidden if mask is None else hidden + mask)

    assert_defined(forward, definition, _tokens(), constants=(PADDING,))


@pytest.mark.parametrize("bias", [False, True])
def test_cross_attention_with_other_widths_and_lengths(bias: bool) -> None:
    options = {"kdim": 2, "vdim": 3, "bias": bias, "batch_first": True}
    module = _randomized(nn.MultiheadAttention(WIDTH, HEADS, **options))

    def forward(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return module(query, key, value, need_weights=False)[0]

    def definition(query: Pair, key: Pair, value: Pair) -> Pair:
        return _attention(module, query, key, value, None)

    assert_defined(forward, definition, _tokens(), _tokens(2, 5), _tokens(3, 5))


def test_functional_attention_with_given_keys_and_values() -> None:
    """static_k and static_v stand in for what the projections would give."""
    static_k, static_v = torch.randn(2, 2, 5, 2).double()
    weight, out = torch.randn(12, 4).double(), torch.randn(4, 4).double()

    def forward(x: Tensor, memory: Tensor) -> Tensor:
        x, values = x.transpose(0, 1), (static_v + memory[:, :, None]).flatten(0, 1)
        attended, _ = F.multi_head_attention_forward(
            *(x, x, x, WIDTH, HEADS, weight, None, None, None, False, 0.0, out, None),
            training=False,
            static_k=static_k,
            static_v=values,
        )
        return attended.transpose(0, 1)

    def definition(x: Pair, memory: Pair) -> Pair:
        query = x.point @ weight[:4].T
        heads = []
        for head in range(HEADS):
            scores = query[..., 2 * head : 2 * head + 2] @ static_k[head].T / math.sqrt(2)
            pattern = scores.exp() / scores.exp().sum(-1, keepdim=True)
            heads.append(
                memory.map(lambda m, h=head, p=pattern: p @ (static_v[h] + m[:, h, None]))
            )
        return joined(lambda *heads: torch.cat(heads, -1) @ out.T, *heads)

    assert_defined(forward, definition, _tokens()[:1], torch.randn(1, 2, 2).double())


def _norm(norm: nn.LayerNorm, x: Pair) -> Pair:
    def deviation(z: Tensor) -> Tensor:
        return (z.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()

    bias = 0.0 if norm.bias is None else norm.bias
    return x.centred(deviation).map(lambda z: z * norm.weight + bias)


ACTIVATIONS = {
    "relu": lambda z: z * (z > 0),
    "gelu": lambda z: z * (1 + torch.erf(z / math.sqrt(2))) / 2,
    F.silu: lambda z: z / (1 + (-z).exp()),
}


def _feed_forward(layer: Any, x: Pair, activation: Any) -> Pair:
    hidden = x.map(layer.linear1).chord(ACTIVATIONS[activation])
    return hidden.map(layer.linear2)


def _encoder_layer(layer: Any, x: Pair, mask: Tensor | None, activation: Any) -> Pair:
    if layer.norm_first:
        y = _norm(layer.norm1, x)
        x = x + _attention(layer.self_attn, y, y, y, mask)
        return x + _feed_forward(layer, _norm(layer.norm2, x), activation)
    x = _norm(layer.norm1, x + _attention(layer.self_attn, x, x, x, mask))
    return _norm(layer.norm2, x + _feed_forward(layer, x, activation))


def _decoder_layer(layer: Any, x: Pair, memory: Pair, mask: Tensor, activation: Any) -> Pair:
    if layer.norm_first:
        y = _norm(layer.norm1, x)
        x = x + _attention(layer.self_attn, y, y, y, mask)
        y = _norm(layer.norm2, x)
        x = x + _attention(layer.multihead_attn, y, memory, memory, None)
        return x + _feed_forward(layer, _norm(layer.norm3, x), activation)
    x = _norm(layer.norm1, x + _attention(layer.self_attn, x, x, x, mask))
    x = _norm(layer.norm2, x + _attention(layer.multihead_attn, x, memory, memory, None))
    return _norm(layer.norm3, x + _feed_forward(layer, x, activation))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
def test_encoder_layer(activation: Any, norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 6, activation=activation, batch_first=True, norm_first=norm_first
    )
    layer = _randomized(layer)
    assert_defined(
        lambda x: layer(x, src_mask=CAUSAL, is_causal=True),
        lambda x: _encoder_layer(layer, x, _hidden(CAUSAL), activation),
        _tokens(),
    )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("nested", [False, True])
def test_encoder_with_padding(nested: bool) -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 6, batch_first=True)
    stack = nn.TransformerEncoder(layer, 2, nn.LayerNorm(WIDTH), enable_nested_tensor=nested)
    encoder = _randomized(stack)

    def forward(x: Tensor, padding: Tensor) -> Tensor:
        return encoder(x, src_key_padding_mask=padding)

    def definition(x: Pair, padding: Tensor) -> Pair:
        for layer in encoder.layers:
            x = _encoder_layer(layer, x, _hidden(padding)[:, None], "relu")
        return _norm(encoder.norm, x)

    assert_defined(forward, definition, _tokens(), constants=(PADDING,))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_fast_path_has_the_same_values() -> None:
    """Without gradients torch runs a fused kernel, which leaves out what is padded."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 6, batch_first=True)
    encoder = _randomized(nn.TransformerEncoder(layer, 2))
    x = _tokens()
    with torch.no_grad():
        fast = encoder(x, src_key_padding_mask=PADDING)
        affine_map = linearize(
            lambda x, padding: encoder(x, src_key_padding_mask=padding),
            x,
            additional_forward_args=(PADDING,),
            strict=True,
        )
    assert not fast[PADDING].any()  # only the fast path writes zeros there
    assert torch.allclose(affine_map.outputs[~PADDING], fast[~PADDING], rtol=0, atol=1e-13)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("norm_first", [False, True])
def test_whole_transformer(norm_first: bool) -> None:
    options = {"batch_first": True, "norm_first": norm_first, "activation": "gelu"}
    model = _randomized(nn.Transformer(WIDTH, HEADS, 1, 2, 6, **options))

    def forward(source: Tensor, target: Tensor) -> Tensor:
        return model(source, target, tgt_mask=CAUSAL, tgt_is_causal=True)

    def definition(source: Pair, target: Pair) -> Pair:
        for layer in model.encoder.layers:
            source = _encoder_layer(layer, source, None, "gelu")
        source = _norm(model.encoder.norm, source)
        for layer in model.decoder.layers:
            target = _decoder_layer(layer, target, source, _hidden(CAUSAL), "gelu")
        return _norm(model.decoder.norm, target)

    assert_defined(forward, definition, _tokens(length=4), _tokens())
