"""What passes through layers, residual branches and blocks of networks that people use.

The sums are those of the largest output of each row, relative to that output alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import in_double, linearize
from comparisons.models import fashion
from comparisons.zoo import ARCHITECTURES
from tests.laws_of_layers import COMPLETENESS_ERROR, assert_layer_laws

if TYPE_CHECKING:
    from captum_ilin import AffineMap, LayerMap

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}

# Of a library's own code, where it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")


def assert_adds_up(layer: LayerMap) -> None:
    """F = through + around; each unit is its two shares; nothing is lost in between."""
    affine_map = layer.affine_map
    target = affine_map.outputs.abs().argmax(1)
    value = affine_map.outputs.gather(1, target[:, None])[:, 0]
    found = layer.contributions(target)
    total = found.through + found.around_features + found.around_bias
    assert ((total - value).abs() <= COMPLETENESS_ERROR * value.abs()).all()
    for units, features, bias in zip(*map(_parts, found[:3]), strict=True):
        limit = COMPLETENESS_ERROR * max(float(features.abs().max()), float(bias.abs().max()))
        assert float((features + bias - units).abs().max()) <= limit
    units = torch.stack([part.sum() for part in _parts(found.units)]).sum()
    size = sum(float(part.abs().sum()) for part in _parts(found.units))
    assert float((units - found.through.sum()).abs()) <= COMPLETENESS_ERROR * size


def _parts(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def assert_shares_add_up(affine_map: AffineMap, branches: list[nn.Module]) -> None:
    target = affine_map.outputs.abs().argmax(1)
    value = affine_map.outputs.gather(1, target[:, None])[:, 0]
    shares = affine_map.shares(branches, target)
    assert ((shares.total - value).abs() <= COMPLETENESS_ERROR * value.abs()).all()
    assert all(torch.count_nonzero(direct) for direct in shares.direct)


TRAINED = {
    "cnn": ["features.0", "features.3", "features.6", "features.10", "readout"],
    "vit": ["patches", "encoder.layers.0.self_attn", "encoder.layers.1.linear1", "norm"],
}


@pytest.mark.parametrize("name", TRAINED)
def test_layers_of_a_trained_network(name: str) -> None:
    network = getattr(fashion, name)()
    affine_map = linearize(network.model.double(), network.inputs[:2].double())
    for layer in affine_map.layers(TRAINED[name]):
        assert_adds_up(layer)
        assert_layer_laws(layer, target=1)


# Layers that are called once, shallow ones and deep ones.
LAYERS: dict[str, tuple[str, ...]] = {
    "alexnet": ("features.0", "features.5", "avgpool", "classifier.1"),
    "vgg11_bn": ("features.1", "features.6", "features.11", "avgpool", "classifier.0"),
    "resnet18": ("bn1", "layer1", "layer2.0.conv1", "layer3.0.downsample", "layer4.1.bn2"),
    "densenet121": ("features.conv0", "features.denseblock1.denselayer2", "features.norm5"),
    "googlenet": ("conv1", "inception3a.branch2", "inception4b", "inception5b.branch4"),
    "mobilenet_v2": ("features.0", "features.3.conv.0", "features.10.conv", "features.18"),
    "efficientnet_b0": ("features.0", "features.3.0.block.2", "features.5.1.block"),
    "convnext_tiny": ("features.0", "features.1.1.block", "features.5.3", "classifier.0"),
    "VisionTransformer": (
        "conv_proj",
        "encoder.layers.encoder_layer_0.self_attention",
        "encoder.layers.encoder_layer_1.mlp",
        "encoder.ln",
    ),
    "swin_t": ("features.0", "features.1.1.attn", "features.3.0.mlp", "features.6", "norm"),
    "LlamaForCausalLM (eager)": (
        "model.layers.0.self_attn",
        "model.layers.0.mlp.gate_proj",
        "model.layers.1.mlp",
        "model.norm",
    ),
    "GPT2LMHeadModel": ("transformer.h.0.attn", "transformer.h.1.mlp", "transformer.ln_f"),
    "BertForMaskedLM (eager)": (
        "bert.embeddings.LayerNorm",
        "bert.encoder.layer.0.attention.self",
        "bert.encoder.layer.1.intermediate",
        "cls.predictions.transform",
    ),
    "MambaForCausalLM": ("backbone.layers.0.mixer", "backbone.layers.1", "backbone.norm_f"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_an_architecture(name: str) -> None:
    affine_map, network = linearized(name)
    for layer in affine_map.layers([network.get_submodule(path) for path in LAYERS[name]]):
        assert_adds_up(layer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["VisionTransformer", "LlamaForCausalLM (eager)", "GPT2LMHeadModel"]
)
def test_pieces_of_an_architecture_compose(name: str) -> None:
    affine_map, network = linearized(name)
    for layer in affine_map.layers([network.get_submodule(path) for path in LAYERS[name]]):
        assert_layer_laws(layer, target=1)


BRANCHES: dict[str, tuple[str, ...]] = {
    "resnet18": (
        "layer1.0.bn2",
        "layer1.1.bn2",
        "layer2.1.bn2",
        "layer3.1.bn2",
        "layer4.1.bn2",
    ),
    "VisionTransformer": (
        "encoder.layers.encoder_layer_0.self_attention",
        "encoder.layers.encoder_layer_0.mlp",
        "encoder.layers.encoder_layer_1.self_attention",
        "encoder.layers.encoder_layer_1.mlp",
    ),
    "LlamaForCausalLM (sdpa)": (
        "model.layers.0.self_attn",
        "model.layers.0.mlp",
        "model.layers.1.self_attn",
        "model.layers.1.mlp",
    ),
    "GPT2LMHeadModel": (
        "transformer.h.0.attn",
        "transformer.h.0.mlp",
        "transformer.h.1.attn",
        "transformer.h.1.mlp",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BRANCHES)
def test_residual_branches_of_an_architecture(name: str) -> None:
    affine_map, network = linearized(name)
    assert_shares_add_up(affine_map, [network.get_submodule(path) for path in BRANCHES[name]])


def linearized(name: str) -> tuple[AffineMap, nn.Module]:
    architecture = BY_NAME[name]
    pytest.importorskip(architecture.library, reason=f"{architecture.library} is not installed")
    network = architecture.network().double()
    inputs = tuple(values.double() for values in architecture.inputs(2))
    return linearize(in_double(architecture.forward(network)), inputs), network
