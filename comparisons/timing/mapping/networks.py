"""The networks whose maps are timed: random weights, one random image of 224 px."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from comparisons.models.vision import torchvision_models

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["ALL_ROWS", "NETWORKS", "PIECEWISE_LINEAR", "network"]

SIDE = 224


def _torchvision(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(torchvision_models(), name)(weights=None)


def _lite0() -> nn.Module:
    """The published weights: the package has no others."""
    from comparisons.models.efficientnet import lite0

    return lite0().model


def _vit_small() -> nn.Module:
    """ViT-S/16 (Touvron et al. 2021), with a head that does not begin at zero."""
    model = torchvision_models().VisionTransformer(
        image_size=SIDE,
        patch_size=16,
        num_layers=12,
        num_heads=6,
        hidden_dim=384,
        mlp_dim=1536,
    )
    torch.nn.init.trunc_normal_(model.heads.head.weight, std=0.02)
    return model


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vgg11_bn": _torchvision("vgg11_bn"),
    "resnet18": _torchvision("resnet18"),
    "mobilenet_v2": _torchvision("mobilenet_v2"),
    "convnext_tiny": _torchvision("convnext_tiny"),
    "efficientnet_lite0": _lite0,
    "vit_small": _vit_small,
}
PIECEWISE_LINEAR = ("vgg11_bn", "resnet18", "mobilenet_v2", "efficientnet_lite0")
ALL_ROWS = ("resnet18", "vit_small")


def network(name: str) -> tuple[nn.Module, Tensor]:
    """The network in evaluation mode and an input, the same at every call."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    return model, torch.randn(1, 3, SIDE, SIDE)
