"""Text ↔ tokens: numbers for a model, readable strings for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from comparisons.models.language import LanguageModel

__all__ = [
    "PromptError",
    "alone",
    "check_differ",
    "check_not_blank",
    "encoded",
    "only_token",
    "readable",
]


class PromptError(ValueError):
    """A text that cannot be explained; the message says why and what to give instead."""


def encoded(language: LanguageModel, text: str, name: str) -> Tensor:
    """The token numbers of a text, (1, tokens).

    Args:
        language: the model and its tokenizer.
        text: any text that is not blank.
        name: what the text is called in an error.

    Raises:
        PromptError: the text is blank, or longer than the model reads.
    """
    check_not_blank(text, name)
    numbers = language.tokenizer(text)["input_ids"]
    longest = getattr(language.model.config, "max_position_embeddings", len(numbers))
    if len(numbers) > longest:
        raise PromptError(
            f"The {name} has {len(numbers)} tokens, and {language.name} reads {longest} at "
            "most. Give a shorter text."
        )
    return torch.tensor([numbers])


def check_not_blank(text: str, name: str) -> None:
    """Raise PromptError for a text without letters."""
    if not text.strip():
        raise PromptError(
            f"The {name} is empty, so there is nothing to explain. Give a text, such as "
            '"The capital of France is".'
        )


def check_differ(target: object, against: object) -> None:
    """Raise PromptError for a difference of one thing and itself."""
    if target == against:
        raise PromptError(
            "The target and what it is compared against are the same, so their difference is 0 "
            "whatever the prompt. Give another one, or leave it out."
        )


def only_token(tokenizer: Any, text: str, name: str) -> int:
    """The number of a text that is one token.

    Raises:
        PromptError: it is none or several; the message shows them.
    """
    numbers = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(numbers) != 1:
        parts = ", ".join(repr(part) for part in readable(tokenizer, numbers)) or "nothing"
        raise PromptError(
            f"The {name} {text!r} is {len(numbers)} tokens ({parts}), and a logit belongs to "
            "one. Give a single token, with its leading blank where it begins a word: "
            '" Paris".'
        )
    return int(numbers[0])


def readable(tokenizer: Any, numbers: Sequence[int]) -> tuple[str, ...]:
    """What each token adds to the text; together they are the text.

    A token that holds only some bytes of a character shows as �.
    """
    found: list[str] = []
    before = ""
    for end, number in enumerate(numbers, start=1):
        text = _decoded(tokenizer, numbers[:end])
        extends = text.startswith(before) and text != before
        found.append(text[len(before) :] if extends else alone(tokenizer, number))
        before = text
    return tuple(found)


def alone(tokenizer: Any, number: int) -> str:
    """One token as text, with the blank it begins with if it begins a word."""
    piece = str(tokenizer.convert_ids_to_tokens(number))
    if "▁" in piece:  # SentencePiece: decoding one piece alone would drop the blank
        return piece.replace("▁", " ")
    return _decoded(tokenizer, [number])


def _decoded(tokenizer: Any, numbers: Sequence[int]) -> str:
    return str(tokenizer.decode(numbers, clean_up_tokenization_spaces=False))
