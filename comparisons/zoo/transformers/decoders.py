"""Decoder-only language models: embeddings in, logits of the next token out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.zoo.reading import last_logits
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

GROUPED: dict[str, Any] = {**LAYERS, "num_key_value_heads": 2, "head_dim": 8}
RECURRENT: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": 2}
STATE: dict[str, Any] = {**RECURRENT, "state_size": 4}
# The experts one by one: their grouped product has no kernel for float64.
EXPERTS: dict[str, Any] = {
    **GROUPED,
    "experts_implementation": "eager",
    "num_experts_per_tok": 2,
    "intermediate_size": 24,
}
ROUTED: dict[str, Any] = {**EXPERTS, "moe_intermediate_size": 24}
WINDOW: dict[str, Any] = {"sliding_window": 3}
OLDER: dict[str, Any] = {"n_positions": 16, "n_embd": WIDTH, "n_layer": 2, "n_head": 4}
LATENT: dict[str, Any] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
    "head_dim": 4,
}
LINEAR_ATTENTION: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}


def _decoder(name: str, config: str = "", **options: Any) -> Architecture:
    family = name.removesuffix("ForCausalLM").removesuffix("LMHeadModel")
    settings = {"vocab_size": VOCABULARY, **SPECIAL, **options}
    return model(name, last_logits, SENTENCE, config=config or f"{family}Config", **settings)


def _bias_free(name: str, config: str = "", **options: Any) -> Architecture:
    return _decoder(name, config, bias_free=True, **options)


ARCHITECTURES = (
    _bias_free("LlamaForCausalLM", **GROUPED, attn_implementation="eager"),
    _bias_free("LlamaForCausalLM", **GROUPED, attn_implementation="sdpa"),
    _bias_free("Qwen3ForCausalLM", **GROUPED),
    _bias_free("MistralForCausalLM", **GROUPED, **WINDOW),
    _bias_free("GemmaForCausalLM", **GROUPED),
    _bias_free("Gemma2ForCausalLM", **GROUPED, **WINDOW),
    _bias_free("Gemma3ForCausalLM", "Gemma3TextConfig", **GROUPED, **WINDOW),
    _bias_free("Phi3ForCausalLM", **GROUPED),
    _bias_free("Olmo2ForCausalLM", **GROUPED),
    _bias_free("GraniteForCausalLM", **GROUPED),
    _bias_free("CohereForCausalLM", **GROUPED),
    _bias_free("SmolLM3ForCausalLM", **GROUPED),
    _bias_free("MixtralForCausalLM", **EXPERTS, num_local_experts=4),
    _bias_free("Qwen3MoeForCausalLM", **ROUTED, num_experts=4),
    _bias_free(
        "DeepseekV3ForCausalLM",
        **{**ROUTED, **LATENT},
        n_routed_experts=4,
        n_group=2,
        topk_group=1,
        first_k_dense_replace=1,
    ),
    _bias_free("Lfm2ForCausalLM", **GROUPED, full_attn_idxs=[1]),
    _bias_free(
        "MptForCausalLM",
        d_model=WIDTH,
        n_layers=2,
        n_heads=4,
        max_seq_len=16,
        expansion_ratio=2,
    ),
    _decoder("GptOssForCausalLM", **EXPERTS, num_local_experts=4, **WINDOW),
    _bias_free(
        "Qwen3NextForCausalLM",
        **{**ROUTED, **LINEAR_ATTENTION},
        num_experts=4,
        shared_expert_intermediate_size=16,
    ),
    _decoder("Qwen2ForCausalLM", **GROUPED),
    _decoder("PhiForCausalLM", **LAYERS),
    _decoder("StableLmForCausalLM", **GROUPED, use_qkv_bias=True),
    _decoder("Starcoder2ForCausalLM", **GROUPED),
    _decoder("FalconForCausalLM", **LAYERS),
    _decoder("GPTNeoXForCausalLM", **LAYERS),
    _decoder("GPT2LMHeadModel", **OLDER),
    _decoder("GPTJForCausalLM", **OLDER, rotary_dim=4),
    _decoder("CTRLLMHeadModel", **OLDER, dff=48),
    _decoder("OpenAIGPTLMHeadModel", **OLDER),
    _decoder(
        "GPTNeoForCausalLM",
        hidden_size=WIDTH,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=3,
    ),
    _decoder(
        "OPTForCausalLM",
        **RECURRENT,
        num_attention_heads=4,
        ffn_dim=48,
        word_embed_proj_dim=WIDTH,
        max_position_embeddings=16,
    ),
    _decoder("XGLMForCausalLM", d_model=WIDTH, ffn_dim=48, num_layers=2, attention_heads=4),
    _decoder("XLNetLMHeadModel", d_model=WIDTH, n_layer=2, n_head=4, d_inner=48),
    _decoder("MambaForCausalLM", **STATE),
    _decoder("Mamba2ForCausalLM", **STATE, num_heads=8, head_dim=8, n_groups=2, chunk_size=4),
    _decoder("FalconMambaForCausalLM", **STATE),
    _decoder(
        "RwkvForCausalLM",
        **RECURRENT,
        attention_hidden_size=WIDTH,
        context_length=16,
        use_cache=False,
    ),
)
