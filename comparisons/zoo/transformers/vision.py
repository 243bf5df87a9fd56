"""Image networks, and the two that read images beside text or detect objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.zoo.reading import logits, pooled_image, similarities
from comparisons.zoo.transformers.building import LAYERS, SPECIAL, VOCABULARY, model

if TYPE_CHECKING:
    from comparisons.zoo.architecture import Architecture

__all__ = ["ARCHITECTURES"]

SMALL, IMAGE = (3, 32, 32), (3, 64, 64)
VIT: dict[str, Any] = {**LAYERS, "image_size": 32, "patch_size": 8}
WINDOWS: dict[str, Any] = {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2]}
WINDOWS |= {"num_heads": [2, 4], "window_size": 4}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
PYRAMID: dict[str, Any] = {**STAGES, "num_attention_heads": [1, 2, 2, 4]}
TOWER: dict[str, Any] = {**VIT, "projection_dim": 16}


def _classifier(
    family: str, shape: tuple[int, int, int] = SMALL, **options: Any
) -> Architecture:
    name = f"{family}ForImageClassification"
    return model(name, logits, shape, config=f"{family}Config", num_labels=10, **options)


def _encoder(name: str, **options: Any) -> Architecture:
    config = name.replace("Model", "Config")
    return model(name, pooled_image, SMALL, config=config, **{**VIT, **options})


ARCHITECTURES = (
    _classifier("ViT", **VIT),
    _classifier("DeiT", **VIT),
    _classifier("Beit", **VIT, use_relative_position_bias=True),
    _classifier("Dinov2", **VIT),
    _classifier("ViTMSN", **VIT),
    _classifier("Swin", **WINDOWS),
    _classifier("Swinv2", **WINDOWS),
    _classifier("ConvNext", **STAGES),
    _classifier("ConvNextV2", **STAGES),
    _classifier("PoolFormer", IMAGE, **STAGES),
    _classifier("RegNet", **STAGES, embedding_size=8, groups_width=4),
    _classifier("ResNet", **STAGES, embedding_size=8),
    _classifier(
        "Bit",
        embedding_size=8,
        hidden_sizes=[32, 32, 64, 64],
        depths=[1, 1, 1, 1],
        num_groups=4,
    ),
    _classifier("Segformer", IMAGE, **PYRAMID),
    _classifier("PvtV2", IMAGE, **PYRAMID, image_size=64),
    _classifier(
        "MobileViT",
        IMAGE,
        image_size=64,
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 64],
        num_attention_heads=4,
    ),
    _classifier("MobileViTV2", IMAGE, image_size=64, width_multiplier=0.25),
    _classifier(
        "Levit",
        IMAGE,
        image_size=64,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1],
        key_dim=[8, 8, 8],
    ),
    _classifier("Cvt", IMAGE, embed_dim=[8, 16, 32], num_heads=[1, 2, 4], depth=[1, 2, 3]),
    _classifier(
        "EfficientNet",
        IMAGE,
        image_size=64,
        width_coefficient=0.25,
        depth_coefficient=0.3,
        hidden_dim=320,
    ),
    _classifier("MobileNetV2", IMAGE, image_size=64, depth_multiplier=0.25),
    _classifier(
        "FocalNet",
        image_size=32,
        patch_size=2,
        embed_dim=16,
        depths=[1, 1],
        hidden_sizes=[16, 32],
        focal_levels=[2, 2],
        focal_windows=[3, 3],
    ),
    _classifier(
        "SwiftFormer", IMAGE, image_size=64, embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1]
    ),
    _classifier(
        "Hiera",
        IMAGE,
        image_size=[64, 64],
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
    ),
    _encoder("Dinov2WithRegistersModel"),
    _encoder("DINOv3ViTModel"),
    _encoder("IJepaModel"),
    _encoder("SiglipVisionModel"),
    _encoder("YolosModel", image_size=[32, 32], num_detection_tokens=3),
    model(
        "CLIPModel",
        similarities,
        SMALL,
        config="CLIPConfig",
        projection_dim=16,
        vision_config=TOWER,
        text_config={**LAYERS, **SPECIAL, "vocab_size": VOCABULARY, "projection_dim": 16},
    ),
)
