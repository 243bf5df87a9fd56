"""What a network that reads tokens from their embeddings tells the harness of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["equally_long", "token_baselines", "token_features"]


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


def token_baselines(table: Tensor, tokens: int, filler: int) -> dict[str, Tensor]:
    """What stands for no token: zeros, the vocabulary's mean, a token that says nothing.

    Args:
        table: (vocabulary, width) embeddings.
        tokens: how many an example has.
        filler: the number of the token that says nothing.
    """
    rows = {"zero": torch.zeros_like(table[0]), "mean": table.mean(0), "filler": table[filler]}
    return {name: row.expand(1, tokens, -1).clone() for name, row in rows.items()}


def token_features(inputs: Tensor, noun: str = "token") -> dict[str, Any]:
    """Fields of a ``Network``: a token's values are one feature, and its name a number.

    Args:
        inputs: (examples, tokens, width)
        noun: what a token is called.
    """
    tokens, width = inputs.shape[1:]
    return {
        "feature_mask": torch.arange(tokens)[None, :, None].expand(1, tokens, width).clone(),
        "window": (1, width),
        "feature_names": tuple(f"{noun} {position}" for position in range(1, tokens + 1)),
    }
