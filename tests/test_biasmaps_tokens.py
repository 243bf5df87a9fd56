"""b by token in libraries' transformers, each layout stated by the one who knows the network.

Independent of the ledger: b is the frozen network's value at zero, and the constant of a last
layer can be read from its parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import in_double, linearize
from comparisons.zoo import ARCHITECTURES

if TYPE_CHECKING:
    from captum_ilin import AffineMap, BiasMap, Site

# Of a library's own code, where it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
TOKENS, CLASS = 6, 3


def of(name: str) -> tuple[Any, AffineMap]:
    architecture = BY_NAME[name]
    pytest.importorskip(architecture.library, reason=f"{architecture.library} is missing")
    network = architecture.network().double()
    inputs = tuple(x.double() for x in architecture.inputs(2))
    return network, linearize(in_double(architecture.forward(network)), inputs, strict=True)


def assert_complete(found: BiasMap, affine_map: AffineMap) -> None:
    zero = tuple(torch.zeros_like(x) for x in affine_map.inputs)
    bias = affine_map.replay(zero)[:, CLASS].detach()
    total = found.total.sum(1) + found.rest
    torch.testing.assert_close(total, bias, rtol=1e-12, atol=1e-14)


def test_an_encoder_keeps_its_tokens_second() -> None:
    network, affine_map = of("BertForMaskedLM (sdpa)")
    found = affine_map.bias_ledger(CLASS).by_token(TOKENS, layout=1)
    assert not found.unplaced
    assert_complete(found, affine_map)
    decoder = found.by_module()["cls.predictions.decoder"]
    expected = torch.zeros(2, TOKENS, dtype=torch.float64)
    expected[:, 0] = network.cls.predictions.decoder.bias.detach()[CLASS]  # logits of token 0
    torch.testing.assert_close(decoder, expected, rtol=1e-12, atol=0)


def test_a_decoder_that_takes_all_tokens_as_rows_of_one_matrix() -> None:
    network, affine_map = of("GPT2LMHeadModel")
    ledger = affine_map.bias_ledger(CLASS)
    stated = ledger.by_token(TOKENS, layout=1)
    assert {site.op_name for site in stated.unplaced} == {"addmm"}

    def layout(site: Site, entry: Tensor) -> Tensor:
        return entry.reshape(-1, TOKENS, entry.shape[-1]).sum((0, 2))

    found = ledger.by_token(TOKENS, layout=layout)
    assert not found.unplaced
    for each in (stated, found):
        assert_complete(each, affine_map)
    expected = torch.zeros(2, TOKENS, dtype=torch.float64)  # logits of the last token
    expected[:, -1] = network.lm_head.weight[CLASS] @ network.transformer.ln_f.bias
    last = found.by_module()["transformer.ln_f"]
    torch.testing.assert_close(last, expected.detach(), rtol=1e-12, atol=1e-15)


def test_a_decoder_without_constants_has_none_at_any_token() -> None:
    _, affine_map = of("LlamaForCausalLM (sdpa)")
    found = affine_map.bias_ledger(CLASS).by_token(TOKENS, layout=1)
    assert not found.total.any()
    assert not found.placed
    assert_complete(found, affine_map)


def test_a_state_space_model_keeps_its_tokens_behind_the_channels() -> None:
    _, affine_map = of("MambaForCausalLM")

    def layout(site: Site, entry: Tensor) -> Tensor:
        """A convolution's last outputs, made of padding, are cut off by the network."""
        return (entry.sum(3) if entry.dim() == 4 else entry)[..., :TOKENS].sum((0, 1))

    found = affine_map.bias_ledger(CLASS).by_token(TOKENS, layout=layout)
    assert not found.unplaced
    assert_complete(found, affine_map)


def test_an_image_transformer_puts_a_token_before_the_patches() -> None:
    _, affine_map = of("VisionTransformer")

    def layout(site: Site, entry: Tensor) -> Tensor | None:
        if site.op_name == "conv2d":
            return F.pad(entry.sum((0, 1)).flatten(), (1, 0))
        if entry.dim() < 3:
            return None
        return entry.sum((1, 2) if site.module.endswith("self_attention") else (0, 2))

    found = affine_map.bias_ledger(CLASS).by_token(17, layout=layout)
    assert [site.module for site in found.unplaced] == ["heads.head"]
    assert_complete(found, affine_map)
    last = found.by_module()["encoder.ln"]
    assert last[:, 0].all()  # only the class token is read
    assert not last[:, 1:].any()
