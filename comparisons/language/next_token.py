"""Contributions of a prompt's tokens to the logit of the token that comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from captum_ilin import in_double
from captum_ilin.pictures import visible
from comparisons.language.contributions import (
    TokenContributions,
    check_double,
    contributions_of,
)
from comparisons.language.tokens import (
    alone,
    check_differ,
    encoded,
    only_token,
    readable,
)

if TYPE_CHECKING:
    from torch import Tensor

    from comparisons.models.language import LanguageModel

__all__ = ["next_token"]

SHOWN = 5  # most probable tokens


def next_token(
    language: LanguageModel,
    prompt: str,
    *,
    target: str | None = None,
    against: str | None = None,
) -> TokenContributions:
    """Explain a decoder's logit, or the difference of two.

    Args:
        language: a causal model in float64 and its tokenizer.
        prompt: the text that the next token follows.
        target: the token whose logit is explained. Default: the most probable one.
        against: a token whose logit is subtracted. Default: none.

    Raises:
        PromptError: the prompt is empty or too long, a token is not one, or both are the
            same.
        TypeError: the model is not float64.
    """
    check_double(language.model)
    numbers = encoded(language, prompt, "prompt")
    logits = _logits(language.model, input_ids=numbers)
    chosen = _number(language.tokenizer, target, "target", default=int(logits.argmax()))
    other = _number(language.tokenizer, against, "token to compare against", default=None)
    check_differ(chosen, other)

    def explained(logits: Tensor) -> Tensor:
        return logits[:, chosen] - (logits[:, other] if other is not None else 0)

    return contributions_of(
        lambda x: explained(plain_logits(language.model, inputs_embeds=x)),
        embeddings_of(language.model, numbers),
        model=language.name,
        question=_question(language.tokenizer, chosen, other),
        unit="logits",
        tokens=readable(language.tokenizer, numbers[0].tolist()),
        value=float(explained(logits)),
        predictions=_predictions(language.tokenizer, logits[0]),
    )


def _number(tokenizer: Any, text: str | None, name: str, *, default: int | None) -> int | None:
    return default if text is None else only_token(tokenizer, text, name)


def plain_logits(model: Any, **inputs: Tensor) -> Tensor:
    """(1, vocabulary): logits at the last position."""
    logits: Tensor = model(**inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
    return logits


@torch.no_grad()
def _logits(model: Any, **inputs: Tensor) -> Tensor:
    """The same by the plain model, without gradients."""
    logits: Tensor = in_double(plain_logits)(model, **inputs)
    return logits


def embeddings_of(model: Any, numbers: Tensor) -> Tensor:
    embeddings: Tensor = model.get_input_embeddings()(numbers).detach()
    return embeddings


def _question(tokenizer: Any, chosen: int | None, other: int | None) -> str:
    numbers = [number for number in (chosen, other) if number is not None]
    quoted = [f'"{visible(alone(tokenizer, number))}"' for number in numbers]
    return f"logit of {' minus logit of '.join(quoted)} as the next token"


def _predictions(tokenizer: Any, logits: Tensor) -> tuple[tuple[str, float], ...]:
    probabilities, numbers = logits.softmax(0).topk(min(SHOWN, len(logits)))
    tokens = [alone(tokenizer, number) for number in numbers.tolist()]
    return tuple(zip(tokens, probabilities.tolist(), strict=True))
