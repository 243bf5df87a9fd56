"""AttnLRP by the formulas of its paper (Achtibat et al. 2024): no code of the rules runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    ATTNLRP_RULES,
    DEFAULT_RULES,
    RuleTable,
    check_affine_map,
    in_double,
    linearize,
)
from tests.rules.halves import ROUNDING, SPLITS


@SPLITS
def test_softmax_takes_its_tangent_and_leaves_the_rest_in_the_bias(rules: RuleTable) -> None:
    """Achtibat et al. 2024, proposition 3.1: R_i = x_i (R_i − s_i Σ R_j)."""
    x, relevance = torch.randn(5).double(), torch.rand(5).double()
    s = x.exp() / x.exp().sum()
    expected = x * (relevance - s * relevance.sum())
    affine_map = linearize(
        lambda x: (x.softmax(-1) * (relevance / s)).sum(-1, keepdim=True),
        x.unsqueeze(0),
        rules=rules,
    )
    torch.testing.assert_close(affine_map.weight(0)[0] * x, expected, **ROUNDING)
    rest = relevance.sum() - expected.sum()
    torch.testing.assert_close(affine_map.bias(0)[0], rest, **ROUNDING)


def _relevances(q: Tensor, k: Tensor, v: Tensor, row: int, column: int) -> list[Tensor]:
    """LRP of one attention output by the paper's own formulas, relevance by relevance.

    Proposition 3.3: of O = A V, R_ji += A_ji V_ip R_jp / (2 O_jp), and so for V; 3.1 for the
    softmax; 3.3 again for the scores S = Q K^T / √d.
    """
    scale = q.shape[-1] ** -0.5
    scores = torch.einsum("jp,ip->ji", q, k) * scale
    pattern = scores.exp() / scores.exp().sum(-1, keepdim=True)
    output = pattern @ v
    relevance = torch.zeros_like(output)
    relevance[row, column] = output[row, column]
    ratio = relevance / (2 * output)
    of_values = torch.einsum("ji,ip,jp->ip", pattern, v, ratio)
    of_pattern = torch.einsum("ji,ip,jp->ji", pattern, v, ratio)
    of_scores = scores * (of_pattern - pattern * of_pattern.sum(-1, keepdim=True))
    shared = of_scores / (2 * scores) * scale
    of_queries = torch.einsum("jp,ip,ji->jp", q, k, shared)
    of_keys = torch.einsum("jp,ip,ji->ip", q, k, shared)
    return [of_queries, of_keys, of_values]


def _written_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


@SPLITS
@pytest.mark.parametrize("attend", [F.scaled_dot_product_attention, _written_attention])
def test_attention_is_that_of_the_paper(attend: Any, rules: RuleTable) -> None:
    q, k, v = (torch.randn(1, 4, 3).double() for _ in range(3))
    affine_map = linearize(attend, (q, k, v), rules=rules, strict=True)
    check_affine_map(affine_map)
    for row, column in ((0, 0), (3, 2)):
        weights = affine_map.weight((row, column))
        expected = _relevances(q[0], k[0], v[0], row, column)
        for weight, x, relevance in zip(weights, (q, k, v), expected, strict=True):
            torch.testing.assert_close((weight * x)[0], relevance, **ROUNDING)


@SPLITS
@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_modules_are_attention_written_out(
    need_weights: bool, rules: RuleTable
) -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double().eval()
    nn.init.normal_(attention.in_proj_bias)
    x = torch.randn(2, 3, 4).double()

    def module(x: Tensor) -> Tensor:
        return attention(x, x, x, need_weights=need_weights)[0]

    def written(x: Tensor) -> Tensor:
        parts = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in parts)
        mixed = _written_attention(q, k, v).transpose(1, 2).flatten(2)
        return attention.out_proj(mixed)

    maps = [linearize(f, x, rules=rules, strict=True) for f in (module, written)]
    torch.testing.assert_close(maps[0].weight(), maps[1].weight(), **ROUNDING)
    torch.testing.assert_close(maps[0].bias(), maps[1].bias(), **ROUNDING)


def _without_slope(z: Tensor) -> Tensor:
    return z.detach()


class _Halved(torch.autograd.Function):
    """The value; its gradient divided by two, once for each of a product's two factors."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient / 2


class _Identity(torch.autograd.Function):
    """SiLU, whose gradient times input is what came in: u · y / z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        value = z / (1 + (-z).exp())
        ctx.save_for_backward(z, value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        z, value = ctx.saved_tensors
        return gradient * value / z


def _rms_norm(z: Tensor, norm: Any) -> Tensor:
    scale = _without_slope((z * z).mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
    return norm.weight * (z * scale)


def _turned(z: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): pairs of features turned by the position's angle."""
    first, second = z.chunk(2, -1)
    return z * cos + torch.cat([-second, first], -1) * sin


def _llama_attention(z: Tensor, block: Any, cos: Tensor, sin: Tensor) -> Tensor:
    config = block.config
    width = config.hidden_size // config.num_attention_heads
    q, k, v = (
        part(z).unflatten(-1, (-1, width)).transpose(1, 2)
        for part in (block.q_proj, block.k_proj, block.v_proj)
    )
    q, k = _turned(q, cos, sin), _turned(k, cos, sin)
    repeats = config.num_attention_heads // config.num_key_value_heads
    k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    scores = _Halved.apply(q @ k.transpose(2, 3)) * width**-0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    pattern = scores.masked_fill(later, -torch.inf).softmax(-1)
    mixed = _Halved.apply(pattern @ v)
    return block.o_proj(mixed.transpose(1, 2).flatten(2))


def _llama(model: Any, x: Tensor) -> Tensor:
    """The last token's logits, with the gradients that AttnLRP's rules are."""
    speeds = model.model.rotary_emb.inv_freq.repeat(2)
    angles = torch.outer(torch.arange(x.shape[1]).double(), speeds)
    cos, sin = angles.cos(), angles.sin()
    for layer in model.model.layers:
        x = x + _llama_attention(_rms_norm(x, layer.input_layernorm), layer.self_attn, cos, sin)
        z, block = _rms_norm(x, layer.post_attention_layernorm), layer.mlp
        x = x + block.down_proj(
            _Halved.apply(_Identity.apply(block.gate_proj(z)) * block.up_proj(z))
        )
    return model.lm_head(_rms_norm(x, model.model.norm))[:, -1]


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_llama_by_gradient_times_input_with_the_papers_backward(kind: str) -> None:
    """The backward pass that its authors' package installs, written here by hand."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.LlamaConfig(
        vocab_size=11,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation=kind,
    )
    model = transformers.LlamaForCausalLM(config).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 5, 16).double()

    @in_double  # the library's norms compute in float32 wherever they are
    def forward(x: Tensor) -> Tensor:
        return model(inputs_embeds=x, use_cache=False).logits[:, -1]

    leaf = x.clone().requires_grad_()
    logits = _llama(model, leaf)
    torch.testing.assert_close(logits, forward(x), rtol=1e-10, atol=1e-10)
    affine_map = linearize(forward, x, rules=ATTNLRP_RULES, strict=True)
    check_affine_map(affine_map)
    for target in (0, 7):
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), leaf, retain_graph=True)
        torch.testing.assert_close(
            affine_map.weight(target) * x, gradient * x, rtol=1e-10, atol=1e-10
        )
        held = linearize(forward, x, rules=DEFAULT_RULES).weight(target)
        assert (held - gradient).abs().max() > 1e-2 * gradient.abs().max()


def test_zennits_epsilon_rule_without_an_epsilon_on_a_relu_network() -> None:
    pytest.importorskip("zennit", reason="zennit is not installed")
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite
    from zennit.rules import Epsilon, Pass
    from zennit.types import Activation, Convolution, Linear

    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    ).double()
    x = torch.randn(2, 2, 8, 8).double()
    rules = [(Activation, Pass()), (Convolution, Epsilon(1e-13)), (Linear, Epsilon(1e-13))]
    with Gradient(model=network, composite=LayerMapComposite(rules)) as attributor:
        _, relevance = attributor(x, lambda y: y * torch.eye(3).double()[1])
    affine_map = linearize(network, x, rules=ATTNLRP_RULES, strict=True)
    torch.testing.assert_close(affine_map.weight(1) * x, relevance, rtol=1e-8, atol=1e-8)
