"""Exactness on the torchvision classification families, without a model-specific line.

Weights are random, biases too, and batch norm is calibrated on random images: otherwise F
and b shrink to zero and every relative error with them. The heads and embeddings that
torchvision initialises to zero are drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, AffineMap, RuleTable, linearize

pytest.importorskip("torchvision", reason="torchvision is not installed")
from torchvision import models

# What the project promises of every family.
VALUE_ERROR = 1e-12
COMPLETENESS_ERROR = 1e-11
SINGLE_PRECISION_ERROR = 1e-4


@dataclass(frozen=True)
class Architecture:
    """A torchvision constructor, and the smallest images it takes."""

    name: str
    size: int = 64
    options: dict[str, Any] = field(default_factory=dict)

    def network(self) -> nn.Module:
        network = getattr(models, self.name)(num_classes=10, **self.options)
        randomize(network)
        calibrate(network, self.images(8))
        return network

    def images(self, count: int) -> Tensor:
        return torch.randn(count, 3, self.size, self.size)


# maxvit_t takes images of 224 px only; the same network with windows of two fits 64 px.
MAXVIT_TINY = {
    "input_size": (64, 64),
    "partition_size": 2,
    "stem_channels": 64,
    "head_dim": 32,
    "block_channels": [64, 128, 256, 512],
    "block_layers": [2, 2, 5, 2],
    "stochastic_depth_prob": 0.2,
}
ARCHITECTURES = [
    Architecture("alexnet"),
    Architecture("vgg11", 32),
    Architecture("vgg11_bn", 32),
    Architecture("resnet18"),
    Architecture("resnext50_32x4d"),
    Architecture("densenet121"),
    Architecture("googlenet", options={"init_weights": False, "aux_logits": False}),
    Architecture("inception_v3", 96, {"init_weights": False, "aux_logits": False}),
    Architecture("mobilenet_v2"),
    Architecture("mobilenet_v3_small"),
    Architecture("squeezenet1_1"),
    Architecture("shufflenet_v2_x0_5"),
    Architecture("efficientnet_b0"),
    Architecture("efficientnet_v2_s"),
    Architecture("regnet_y_400mf"),
    Architecture("mnasnet0_5"),
    Architecture("convnext_tiny"),
    Architecture("vit_b_16", options={"image_size": 64}),
    Architecture("swin_t"),
    Architecture("swin_v2_t"),
    Architecture("MaxVit", options=MAXVIT_TINY),
]


def randomize(network: nn.Module) -> None:
    """Random numbers for everything that starts at zero or one."""
    for parameter in network.parameters():
        if parameter.std() == 0 or parameter.numel() == 1:
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.trunc_normal_(module.weight, std=0.05)
        if isinstance(getattr(module, "bias", None), Tensor):
            nn.init.normal_(module.bias, std=0.1)


def calibrate(network: nn.Module, images: Tensor) -> None:
    """Batch statistics of random images, as a trained network has them."""
    for module in network.eval().modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.train()
    with torch.no_grad():
        network(images)
    network.eval()


def frozen_by(network: nn.Module, images: Tensor, rules: RuleTable) -> AffineMap:
    return linearize(network, images, rules=rules, strict=True)


def assert_exact(affine_map: AffineMap) -> None:
    certificate = affine_map.certificate()
    assert certificate.value_error <= VALUE_ERROR
    assert certificate.completeness_error <= COMPLETENESS_ERROR
    assert certificate.affinity_error <= COMPLETENESS_ERROR
    assert not certificate.unregistered


def assert_exact_in_single_precision(affine_map: AffineMap) -> None:
    certificate = affine_map.certificate()
    assert certificate.value_error <= SINGLE_PRECISION_ERROR
    assert certificate.completeness_error <= SINGLE_PRECISION_ERROR


def assert_not_degenerate(affine_map: AffineMap) -> None:
    """F, W∘x and b are all of a size that an error would show in."""
    outputs = affine_map.outputs
    bias = affine_map.bias(outputs.argmax(1))
    assert outputs.amax(1).min() > 1e-3
    assert outputs.std(1).min() > 1e-3
    assert bias.abs().min() > 1e-6
    assert (outputs.amax(1) - bias).abs().min() > 1e-9


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_family_is_exact(architecture: Architecture) -> None:
    network, images = architecture.network(), architecture.images(2)
    assert_exact_in_single_precision(frozen_by(network, images, DEFAULT_RULES))
    affine_map = frozen_by(network.double(), images.double(), DEFAULT_RULES)
    assert_exact(affine_map)
    assert_not_degenerate(affine_map)


TANGENT_FAMILIES = (
    *("alexnet", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"),
    *("efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t", "swin_v2_t"),
)


@pytest.mark.parametrize(
    "architecture",
    [a for a in ARCHITECTURES if a.name in TANGENT_FAMILIES],
    ids=lambda a: a.name,
)
def test_family_is_exact_at_its_tangent(architecture: Architecture) -> None:
    network, images = architecture.network().double(), architecture.images(2).double()
    assert_exact(frozen_by(network, images, TANGENT_RULES))


def test_the_families_are_at_least_twenty() -> None:
    assert len({architecture.name for architecture in ARCHITECTURES}) >= 20
