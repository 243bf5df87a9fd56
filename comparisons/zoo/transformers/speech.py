"""Speech networks: waveforms or spectrograms in."""

from __future__ import annotations

from typing import Any

from comparisons.zoo.reading import pooled_speech, sound_class, transcript
from comparisons.zoo.transformers.building import LAYERS, SPECIAL, VOCABULARY, WIDTH, model

__all__ = ["ARCHITECTURES"]

WAVE = (400,)  # samples
WAVE_LAYERS: dict[str, Any] = {
    **LAYERS,
    "conv_dim": [16, 16],
    "conv_stride": [5, 2],
    "conv_kernel": [10, 3],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
}
ARCHITECTURES = (
    model("Wav2Vec2Model", pooled_speech, WAVE, config="Wav2Vec2Config", **WAVE_LAYERS),
    model("HubertModel", pooled_speech, WAVE, config="HubertConfig", **WAVE_LAYERS),
    model("WavLMModel", pooled_speech, WAVE, config="WavLMConfig", **WAVE_LAYERS),
    model(
        "WhisperForConditionalGeneration",
        transcript,
        (8, 24),
        (3, WIDTH),
        config="WhisperConfig",
        **SPECIAL,
        vocab_size=VOCABULARY,
        decoder_start_token_id=1,
        d_model=WIDTH,
        num_mel_bins=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=12,
        max_target_positions=8,
    ),
    model(
        "ASTForAudioClassification",
        sound_class,
        (32, 16),
        config="ASTConfig",
        **LAYERS,
        max_length=32,
        num_mel_bins=16,
        patch_size=8,
        frequency_stride=4,
        time_stride=4,
        num_labels=10,
    ),
)
