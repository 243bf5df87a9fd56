"""torchvision's classifiers, on the smallest images each takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.models.vision import torchvision_models
from comparisons.zoo.architecture import Architecture
from comparisons.zoo.reading import only

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES"]


def _classifier(name: str, size: int = 64, **options: Any) -> Architecture:
    def build() -> nn.Module:
        network: nn.Module = getattr(torchvision_models(), name)(num_classes=10, **options)
        return network

    return Architecture(name, "torchvision", build, ((3, size, size),), only)


# maxvit_t takes images of 224 px only; a network of its blocks with windows of two fits 64 px.
MAXVIT_TINY: dict[str, Any] = {
    "input_size": (64, 64),
    "partition_size": 2,
    "stem_channels": 64,
    "head_dim": 32,
    "block_channels": [64, 128, 256, 512],
    "block_layers": [1, 1, 2, 1],
    "stochastic_depth_prob": 0.2,
}
VIT_TINY: dict[str, Any] = {
    "image_size": 64,
    "patch_size": 16,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 64,
    "mlp_dim": 128,
}
ARCHITECTURES = (
    _classifier("alexnet"),
    _classifier("vgg11", 32),
    _classifier("vgg11_bn", 32),
    _classifier("resnet18"),
    _classifier("resnext50_32x4d"),
    _classifier("densenet121"),
    _classifier("googlenet", init_weights=False, aux_logits=False),
    _classifier("inception_v3", 96, init_weights=False, aux_logits=False),
    _classifier("mobilenet_v2"),
    _classifier("mobilenet_v3_small"),
    _classifier("squeezenet1_1"),
    _classifier("shufflenet_v2_x0_5"),
    _classifier("efficientnet_b0"),
    _classifier("efficientnet_v2_s"),
    _classifier("regnet_y_400mf"),
    _classifier("mnasnet0_5"),
    _classifier("convnext_tiny"),
    _classifier("VisionTransformer", **VIT_TINY),
    _classifier("swin_t"),
    _classifier("swin_v2_t"),
    _classifier("MaxVit", **MAXVIT_TINY),
)
