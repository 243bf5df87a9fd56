"""timm's classifiers: the smallest of each family, made smaller where it takes options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.models.vision import make_torchvision_importable
from comparisons.zoo.architecture import Architecture
from comparisons.zoo.reading import only

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES"]


def _classifier(name: str, size: int = 64, **options: Any) -> Architecture:
    def build() -> nn.Module:
        make_torchvision_importable()
        import timm

        network: nn.Module = timm.create_model(name, num_classes=10, **options)
        return network

    return Architecture(name, "timm", build, ((3, size, size),), only)


VIT: dict[str, Any] = {"embed_dim": 64, "depth": 2, "num_heads": 4}
VIT_64, VIT_56 = {**VIT, "img_size": 64}, {**VIT, "img_size": 56}
SHORT: dict[str, Any] = {"embed_dim": 24, "depths": (1, 1, 1, 1), "img_size": 64}
TRANSFORMERS = (
    _classifier("vit_tiny_patch16_224", **VIT_64),
    _classifier("vit_small_patch14_reg4_dinov2", 56, **VIT_56),
    _classifier("deit_tiny_distilled_patch16_224", **VIT_64),
    _classifier("deit3_small_patch16_224", **VIT_64),
    _classifier("beitv2_base_patch16_224", **VIT_64),
    _classifier("eva02_tiny_patch14_224", 56, **VIT_56),
    _classifier("aimv2_large_patch14_224", 56, **VIT_56),
    _classifier("samvit_base_patch16", **VIT_64),
    _classifier("naflexvit_base_patch16_gap", **VIT),
    _classifier("test_vit_relpos", img_size=64),
    _classifier("cait_xxs24_224", **VIT_64),
    _classifier("xcit_nano_12_p16_224", **VIT_64),
    _classifier("convit_tiny", img_size=64, depth=2, local_up_to_layer=1),
    _classifier("tnt_s_legacy_patch16_224", img_size=64, depth=2),
    _classifier("pit_ti_224", img_size=64),
    _classifier("levit_128s", img_size=64),
    _classifier("swinv2_cr_tiny_224", window_size=2, **SHORT),
    _classifier("swinv2_tiny_window8_256", **SHORT),
    _classifier("davit_tiny", depths=(1, 1, 1, 1), embed_dims=(24, 48, 96, 192)),
    _classifier("twins_pcpvt_small", img_size=64),
    _classifier("nest_tiny", img_size=64),
    _classifier("mvitv2_tiny", img_size=64),
    _classifier("gcvit_xxtiny", img_size=64),
    _classifier("hiera_tiny_224", img_size=64),
    _classifier("pvt_v2_b0"),
    _classifier("visformer_tiny", img_size=64),
    _classifier("coat_lite_tiny", img_size=64),
)
HYBRIDS = (
    _classifier("test_coatnet", img_size=64),
    _classifier("test_maxvit", 160),
    _classifier("caformer_s18"),
    _classifier("efficientformerv2_s0", img_size=64),
    _classifier("efficientvit_b0"),
    _classifier("efficientvit_m0"),
    _classifier("swiftformer_xs"),
    _classifier("edgenext_xx_small"),
    _classifier("mobilevit_xxs"),
    _classifier("mobilevitv2_050"),
    _classifier("lowformer_b0"),
    _classifier("shvit_s1"),
    _classifier("iformer_t"),
    _classifier("cpubone_nano"),
)
MIXERS = (
    _classifier("gmlp_ti16_224", img_size=64),
    _classifier("resmlp_12_224", img_size=64),
    _classifier("mixer_s32_224", img_size=64),
    _classifier("sequencer2d_s", layers=(1, 1, 1, 1)),
    _classifier("poolformer_s12"),
    _classifier("poolformerv2_s12"),
    _classifier("mambaout_femto", depths=(1, 1, 1, 1)),
)
CONVOLUTIONS = (
    _classifier("test_resnet"),
    _classifier("convnextv2_atto"),
    _classifier("inception_next_atto"),
    _classifier("starnet_s050"),
    _classifier("fasternet_t0"),
    _classifier("ghostnet_050"),
    _classifier("ghostnetv2_100"),
    _classifier("repghostnet_050"),
    _classifier("repvgg_a0"),
    _classifier("repvit_m0_9"),
    _classifier("mobileone_s0"),
    _classifier("hrnet_w18_small"),
    _classifier("dla34"),
    _classifier("nf_resnet26"),
    _classifier("test_nfnet"),
    _classifier("resnest14d"),
    _classifier("skresnet18"),
    _classifier("seresnet18"),
    _classifier("ecaresnet26t"),
    _classifier("gcresnext26ts"),
    _classifier("lambda_resnet26t"),
    _classifier("resnetblur18"),
    _classifier("regnetx_002"),
    _classifier("rexnet_100"),
    _classifier("tf_efficientnetv2_b0"),
    _classifier("efficientnet_b0_gn"),
    _classifier("test_efficientnet_evos"),
    _classifier("mixnet_s"),
    _classifier("lcnet_050"),
    _classifier("tinynet_e"),
    _classifier("hardcorenas_a"),
    _classifier("semnasnet_050"),
    _classifier("mobilenetv4_conv_small_050"),
    _classifier("cs3darknet_s"),
    _classifier("hgnetv2_b0"),
    _classifier("dpn48b"),
    _classifier("gernet_s"),
    _classifier("csatv2"),
)
ARCHITECTURES = (*TRANSFORMERS, *HYBRIDS, *MIXERS, *CONVOLUTIONS)
