"""Text encoders and encoder-decoders: embeddings in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.zoo.reading import answer, first_logits, pooled, pooled_inputs
from comparisons.zoo.transformers.building import (
    LAYERS,
    SENTENCE,
    SPECIAL,
    VOCABULARY,
    WIDTH,
    model,
)

if TYPE_CHECKING:
    from comparisons.zoo.architecture import Architecture

__all__ = ["ARCHITECTURES"]

FACTORED: dict[str, Any] = {**LAYERS, "embedding_size": WIDTH}
ANSWER = (3, WIDTH)
T5: dict[str, Any] = {"d_model": WIDTH, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
BART: dict[str, Any] = {
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}


def _encoder(name: str, *, shape: tuple[int, int] = SENTENCE, **options: Any) -> Architecture:
    config = name.replace("ForMaskedLM", "Config")
    settings = {"vocab_size": VOCABULARY, **SPECIAL, **options}
    return model(name, first_logits, shape, config=config, **settings)


def _pair(family: str, **options: Any) -> Architecture:
    settings = {"vocab_size": VOCABULARY, **SPECIAL, "decoder_start_token_id": 0, **options}
    name = f"{family}ForConditionalGeneration"
    return model(name, answer, SENTENCE, ANSWER, config=f"{family}Config", **settings)


ARCHITECTURES = (
    _encoder("BertForMaskedLM", **LAYERS, attn_implementation="eager"),
    _encoder("BertForMaskedLM", **LAYERS, attn_implementation="sdpa"),
    _encoder("RobertaForMaskedLM", **LAYERS),
    _encoder("DistilBertForMaskedLM", dim=WIDTH, hidden_dim=48, n_layers=2, n_heads=4),
    _encoder("ElectraForMaskedLM", **FACTORED),
    _encoder("AlbertForMaskedLM", **FACTORED),
    _encoder(
        "DebertaV2ForMaskedLM",
        **LAYERS,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
    ),
    _encoder(
        "MobileBertForMaskedLM",
        **LAYERS,
        shape=(6, 16),
        embedding_size=16,
        intra_bottleneck_size=16,
    ),
    _encoder("ModernBertForMaskedLM", **LAYERS, cls_token_id=3, sep_token_id=4),
    _encoder("MPNetForMaskedLM", **LAYERS),
    _encoder("FNetForMaskedLM", hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2),
    _encoder("RoFormerForMaskedLM", **FACTORED),
    _encoder("SqueezeBertForMaskedLM", **FACTORED),
    _encoder("ConvBertForMaskedLM", **FACTORED),
    _encoder(
        "NystromformerForMaskedLM",
        **LAYERS,
        shape=(16, WIDTH),
        segment_means_seq_len=16,
        num_landmarks=4,
        conv_kernel_size=3,
    ),
    _encoder("LongformerForMaskedLM", **LAYERS, shape=(8, WIDTH), attention_window=4),
    _encoder("EsmForMaskedLM", **LAYERS, mask_token_id=3, position_embedding_type="rotary"),
    model(
        "FunnelModel",
        pooled,
        SENTENCE,
        config="FunnelConfig",
        d_model=WIDTH,
        d_inner=48,
        n_head=4,
        d_head=8,
        block_sizes=[1, 1],
        num_decoder_layers=1,
    ),
    model(
        "PerceiverModel",
        pooled_inputs,
        SENTENCE,
        config="PerceiverConfig",
        num_latents=4,
        d_latents=WIDTH,
        d_model=WIDTH,
        num_self_attends_per_block=2,
        num_self_attention_heads=4,
        num_cross_attention_heads=4,
    ),
    _pair("T5", **T5, bias_free=True),
    _pair(
        "SwitchTransformers",
        **T5,
        bias_free=True,
        num_experts=4,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
    ),
    _pair("Bart", **BART),
    _pair("Pegasus", **BART),
)
