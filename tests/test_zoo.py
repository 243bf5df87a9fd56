"""Exactness of every architecture of the zoo, without a model-specific line.

The definitions are in comparisons/zoo, where the docs' table is made from them too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import ATTNLRP_RULES, SPLIT_RULES, TANGENT_RULES, RuleTable, linearize
from comparisons.__main__ import main
from comparisons.zoo import ARCHITECTURES, Architecture
from comparisons.zoo.measure import Exactness, measure
from comparisons.zoo.page import listed, page
from comparisons.zoo.reading import last_logits
from comparisons.zoo.transformers.building import SENTENCE, model
from comparisons.zoo.transformers.decoders import EXPERTS

# What the project promises of every architecture.
VALUE_ERROR = 1e-12
COMPLETENESS_ERROR = 1e-10
SINGLE_PRECISION_ERROR = 1e-4
BIAS_FREE_ERROR = 1e-12

# Of a library's own code, where it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
PAGE = Path(__file__).parents[1] / "docs" / "zoo.md"


def measured(architecture: Architecture, *rules: object) -> Exactness:
    pytest.importorskip(architecture.library, reason=f"{architecture.library} is not installed")
    return measure(architecture, *rules)


def assert_exact(found: Exactness) -> None:
    assert found.value_error <= VALUE_ERROR
    assert found.completeness_error <= COMPLETENESS_ERROR
    assert found.output_error <= COMPLETENESS_ERROR
    assert found.affinity_error <= COMPLETENESS_ERROR
    assert found.single_error <= SINGLE_PRECISION_ERROR
    assert found.unregistered == 0


def assert_not_degenerate(found: Exactness) -> None:
    """F, W∘x and b are all of a size that an error would show in."""
    assert found.size > 1e-3
    assert found.spread > 1e-3
    assert found.input_share > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_architecture_is_exact(architecture: Architecture) -> None:
    found = measured(architecture)
    assert_exact(found)
    assert_not_degenerate(found)
    if architecture.bias_free:  # at most constants that cancel enter
        assert found.bias_share <= 1e-15
        assert found.product_error <= BIAS_FREE_ERROR
    else:
        assert found.bias_share > 1e-5


TANGENT = (
    *("alexnet", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"),
    *("efficientnet_b0", "convnext_tiny", "VisionTransformer", "swin_t", "swin_v2_t"),
    *("cait_xxs24_224", "eva02_tiny_patch14_224", "mobilevit_xxs", "test_nfnet"),
    *("LlamaForCausalLM (eager)", "LlamaForCausalLM (sdpa)", "BertForMaskedLM (eager)"),
    *("GPT2LMHeadModel", "MambaForCausalLM", "Qwen3MoeForCausalLM", "CLIPModel"),
    *("T5ForConditionalGeneration", "WhisperForConditionalGeneration"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TANGENT)
def test_architecture_is_exact_at_its_tangent(name: str) -> None:
    assert_exact(measured(BY_NAME[name], TANGENT_RULES))


SPLIT = (
    *("alexnet", "resnet18", "mobilenet_v3_small", "efficientnet_b0", "efficientnet_b0_gn"),
    *("convnext_tiny", "VisionTransformer", "swin_t", "cait_xxs24_224", "sequencer2d_s"),
    *("LlamaForCausalLM (eager)", "LlamaForCausalLM (sdpa)", "BertForMaskedLM (eager)"),
    *("GPT2LMHeadModel", "MambaForCausalLM", "Qwen3MoeForCausalLM"),
    *("T5ForConditionalGeneration", "WhisperForConditionalGeneration"),
)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [ATTNLRP_RULES, SPLIT_RULES], ids=lambda rules: rules.name)
@pytest.mark.parametrize("name", SPLIT)
def test_architecture_is_exact_with_products_split(name: str, rules: RuleTable) -> None:
    found = measured(BY_NAME[name], rules)
    assert_exact(found)
    assert found.completeness_error <= 1e-11


def test_the_zoo_is_large_and_its_names_differ() -> None:
    assert len(BY_NAME) == len(ARCHITECTURES) >= 60
    assert {a.library for a in ARCHITECTURES} == {"torchvision", "timm", "transformers"}
    assert sum(architecture.bias_free for architecture in ARCHITECTURES) >= 10


@pytest.mark.parametrize("family", ["LlamaForCausalLM", "BertForMaskedLM"])
def test_attention_is_exact_however_it_is_computed(family: str) -> None:
    """Written out and fused, the same map: the same bias, the same inputs' shares."""
    eager, fused = (measured(BY_NAME[f"{family} ({kind})"]) for kind in ("eager", "sdpa"))
    assert eager.ops > fused.ops
    assert eager.bias_share == pytest.approx(fused.bias_share, abs=1e-12)
    assert eager.input_share == pytest.approx(fused.input_share, rel=1e-12)


def test_experts_in_one_grouped_product_give_the_same_map() -> None:
    """The library's own choice in float32, for which alone the product has a kernel."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    grouped = model(
        "MixtralForCausalLM",
        last_logits,
        SENTENCE,
        config="MixtralConfig",
        **{**EXPERTS, "experts_implementation": "grouped_mm"},
        vocab_size=40,
        num_local_experts=4,
    )
    maps = [
        linearize(a.forward(a.network()), a.inputs(2), strict=True)
        for a in (grouped, BY_NAME["MixtralForCausalLM"])
    ]
    assert maps[0].check().largest_error <= SINGLE_PRECISION_ERROR
    assert maps[0].freezing.order < maps[1].freezing.order
    for one, other in zip(maps[0].weight(3), maps[1].weight(3), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_page_lists_the_zoo() -> None:
    assert listed(PAGE.read_text(encoding="utf-8")) == list(BY_NAME)


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    path = tmp_path / "page.md"
    assert main(["zoo", "--models", "test_resnet", "--out", str(path)]) == 0
    assert listed(path.read_text(encoding="utf-8")) == ["test_resnet"]


def test_a_page_shows_what_was_measured() -> None:
    found = Exactness("net", "timm", 12, 0.0, 0.0, 0.0, 2e-15, 0.5, 3e-7, 0.25, 1, 1, 1, 0)
    text = page([found])
    assert "| net | 12 | 0 | 2e-15 | 3e-07 | 0.2 | 0 |" in text
    assert listed(text) == ["net"]
