"""Transformers between two points: F(x) − F(x') = <W, x − x'> from random baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import linearize

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[Tensor], Tensor]

CLOSES = 1e-12  # some hundred roundings of float64
SIZES = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 4}


class Double:
    """``torch`` for a file that computes in float32 whatever its weights are."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


def vision_transformer() -> tuple[Function, tuple[int, ...]]:
    network = library("torchvision.models").VisionTransformer(
        *(32, 8, 2, 4, 32, 64), num_classes=5
    )
    nn.init.normal_(network.heads.head.weight)  # torchvision has them 0
    return network.double().eval(), (3, 32, 32)


def of_torchvision(name: str) -> Any:
    def make() -> tuple[Function, tuple[int, ...]]:
        network = getattr(library("torchvision.models"), name)(weights=None, num_classes=5)
        return network.double().eval(), (3, 32, 32)

    return make


def maxvit() -> tuple[Function, tuple[int, ...]]:
    network = library("torchvision.models").MaxVit(
        input_size=(32, 32),
        stem_channels=8,
        partition_size=2,
        block_channels=[8, 16],
        block_layers=[1, 1],
        head_dim=4,
        stochastic_depth_prob=0.0,
        num_classes=5,
    )
    return network.double().eval(), (3, 32, 32)


def of_transformers(kind: str, model: str, **options: Any) -> Any:
    def make() -> tuple[Function, tuple[int, ...]]:
        transformers = library("transformers")
        configuration = getattr(transformers, f"{kind}Config")(**options)
        network = getattr(transformers, model)(configuration).double().eval()

        def forward(embedded: Tensor) -> Tensor:
            result = network(inputs_embeds=embedded).logits
            return result if result.dim() == 2 else result[:, -1, :5]

        return forward, (5, 32)

    return make


def t5(projection: str) -> Any:
    def make() -> tuple[Function, tuple[int, ...]]:
        transformers = library("transformers")
        configuration = transformers.T5Config(
            vocab_size=50,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj=projection,
        )
        network = transformers.T5ForConditionalGeneration(configuration).double().eval()

        def forward(embedded: Tensor) -> Tensor:
            decoded = 2 * embedded[:, :3].flip(1)
            return network(inputs_embeds=embedded, decoder_inputs_embeds=decoded).logits[
                :, -1, :5
            ]

        return forward, (5, 32)

    return make


def bert(attention: str) -> Any:
    return of_transformers(
        *("Bert", "BertForSequenceClassification"),
        **SIZES,
        hidden_size=32,
        intermediate_size=64,
        attn_implementation=attention,
    )


def gpt2(attention: str) -> Any:
    return of_transformers(
        *("GPT2", "GPT2LMHeadModel"),
        vocab_size=50,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        attn_implementation=attention,
    )


def llama(attention: str) -> Any:
    return of_transformers(
        *("Llama", "LlamaForCausalLM"),
        **SIZES,
        hidden_size=32,
        intermediate_size=64,
        num_key_value_heads=2,
        use_cache=False,
        attn_implementation=attention,
    )


NETWORKS: dict[str, Any] = {
    "vision transformer": vision_transformer,
    "swin_t": of_torchvision("swin_t"),
    "swin_v2_t": of_torchvision("swin_v2_t"),
    "convnext_tiny": of_torchvision("convnext_tiny"),
    "maxvit": maxvit,
    "bert eager": bert("eager"),
    "bert sdpa": bert("sdpa"),
    "gpt2 eager": gpt2("eager"),
    "gpt2 sdpa": gpt2("sdpa"),
    "llama eager": llama("eager"),
    "llama sdpa": llama("sdpa"),
    "t5": t5("relu"),
    "t5 gated": t5("gated-gelu"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_differences_add_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith(("llama", "t5")):
        for kind in ("llama", "t5"):
            file = library(f"transformers.models.{kind}.modeling_{kind}")
            monkeypatch.setattr(file, "torch", Double())
    network, shape = NETWORKS[name]()
    x, baseline = (torch.randn(2, *shape, dtype=torch.float64) for _ in range(2))
    affine_map = linearize(network, x, baselines=baseline)
    with torch.no_grad():
        change = network(x)[:, 0] - network(baseline)[:, 0]
    explained = (affine_map.weight(0) * (x - baseline)).flatten(1).sum(1)
    assert (explained - change).abs().max() <= CLOSES * change.abs().max()
    assert not affine_map.freezing.reports.unregistered
