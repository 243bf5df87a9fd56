"""Contributions of a sentence's tokens to its similarity with another sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from captum_ilin import in_double
from comparisons.language.contributions import (
    TokenContributions,
    check_double,
    contributions_of,
)
from comparisons.language.tokens import check_differ, encoded, readable

if TYPE_CHECKING:
    from torch import Tensor

    from comparisons.models.language import LanguageModel

__all__ = ["similarity"]


def similarity(
    language: LanguageModel, prompt: str, *, target: str, against: str | None = None
) -> TokenContributions:
    """Explain the cosine of the angle between two sentences' embeddings, or a difference.

    A sentence's embedding is the mean over its tokens, scaled to length 1. The other
    sentences are constants, and so are positions: what they bring counts as bias.

    Args:
        language: an encoder in float64 and its tokenizer.
        prompt: the sentence whose tokens are explained.
        target: the sentence it is compared with.
        against: a sentence whose similarity is subtracted. Default: none.

    Raises:
        PromptError: a sentence is empty or too long, or both are the same.
        TypeError: the model is not float64.
    """
    check_double(language.model)
    check_differ(target, against)
    numbers = encoded(language, prompt, "prompt")
    direction = _embedding(language, target, "target")
    if against is not None:
        direction = direction - _embedding(language, against, "sentence to compare against")
    words = language.model.get_input_embeddings()(numbers).detach()
    difference = f' minus that with "{against}"' if against is not None else ""
    return contributions_of(
        lambda x: (_sentence(language.model, inputs_embeds=x) * direction).sum(-1),
        words,
        model=language.name,
        question=f'cosine similarity with "{target}"{difference}',
        unit="cosine",
        tokens=readable(language.tokenizer, numbers[0].tolist()),
        value=float((_embedding(language, prompt, "prompt") * direction).sum()),
    )


def _sentence(model: Any, **inputs: Tensor) -> Tensor:
    """(1, width) of length 1."""
    return F.normalize(model(**inputs).last_hidden_state.mean(1), dim=-1)


@torch.no_grad()
def _embedding(language: LanguageModel, text: str, name: str) -> Tensor:
    """The same by the plain model, from the token numbers."""
    embedding: Tensor = in_double(_sentence)(
        language.model, input_ids=encoded(language, text, name)
    )
    return embedding
