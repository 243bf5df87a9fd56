"""What each token of a prompt can do to the next one: singular directions, read as tokens.

W_p, from token p's embedding to the logits less their mean, which is what changes their
probabilities, is Σ_i s_i u_i v_iᵀ. The embedding x_p itself settles the sign that a pair
(u_i, v_i) leaves open: v_i is taken along it, so that the token adds s_i <v_i, x_p> u_i.

Source: Golden 2025, Equivalent Linear Mappings of Large Language Models, TMLR, arXiv
2505.24293.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from captum_ilin import in_double, linearize, nearest_tokens
from comparisons.language.contributions import check_double
from comparisons.language.next_token import embeddings_of, plain_logits
from comparisons.language.statements import code
from comparisons.language.tokens import alone, encoded, readable

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin import Operator
    from comparisons.models.language import LanguageModel

__all__ = ["Direction", "TokenDirections", "directions", "directions_table"]

SHOWN = 4  # tokens on each side


class Direction(NamedTuple):
    """One singular direction of one token's block.

    Attributes:
        token: whose block it is of, as a person reads it.
        value: s, logits for each unit of the embedding.
        cosine: of the token's embedding and v, 0 or more.
        share: of the square of what the token adds to the logits, what it adds along u.
        raised, lowered: the tokens with the largest and the smallest entries of u.
        embeddings: the tokens whose embeddings are nearest to v.
    """

    token: str
    value: float
    cosine: float
    share: float
    raised: tuple[str, ...]
    lowered: tuple[str, ...]
    embeddings: tuple[str, ...]


@dataclass(frozen=True)
class TokenDirections:
    """The first singular directions of each token of a prompt, token by token."""

    model: str
    prompt: str
    directions: tuple[Direction, ...]


def directions(language: LanguageModel, prompt: str, *, count: int = 1) -> TokenDirections:
    """The first singular directions of every token's block.

    Args:
        language: a causal model in float64 and its tokenizer.
        prompt: the text that the next token follows.
        count: how many directions of each token.

    Raises:
        PromptError: the prompt is empty or too long.
        TypeError: the model is not float64.

    Cost: for each token some ten products with W and as many with its transpose.
    """
    check_double(language.model)
    numbers = encoded(language, prompt, "prompt")
    embeddings = embeddings_of(language.model, numbers)

    def centred_logits(x: Tensor) -> Tensor:
        logits = plain_logits(language.model, inputs_embeds=x)
        return logits - logits.mean(-1, keepdim=True)

    W = linearize(in_double(centred_logits), embeddings, strict=True).operator()
    found = [
        direction
        for position, token in enumerate(readable(language.tokenizer, numbers[0].tolist()))
        for direction in _of_token(
            language, token, W.part(features=position), embeddings[:, position], count
        )
    ]
    return TokenDirections(language.name, prompt, tuple(found))


def _of_token(
    language: LanguageModel, token: str, block: Operator, x: Tensor, count: int
) -> list[Direction]:
    """Those of one token's block, with its embedding x, (1, width)."""
    U, S, V = block.svd(count)
    assert not isinstance(V, tuple)
    added = block @ x
    assert not isinstance(added, tuple)
    table, found = language.model.get_input_embeddings().weight, []
    for u, s, v in zip(U[:, 0], S[:, 0], V[:, 0], strict=True):
        along = v @ x[0]
        sign = -1 if along < 0 else 1
        outputs, inputs = (sign * u), nearest_tokens(sign * v, table, SHOWN)
        found.append(
            Direction(
                token=token,
                value=float(s),
                cosine=float(along.abs() / x.norm()),
                share=float((s * along / added.norm()).square()),
                raised=_words(language, outputs.topk(SHOWN).indices),
                lowered=_words(language, (-outputs).topk(SHOWN).indices),
                embeddings=_words(language, inputs.tokens),
            )
        )
    return found


def _words(language: LanguageModel, numbers: Tensor) -> tuple[str, ...]:
    return tuple(alone(language.tokenizer, number) for number in numbers.tolist())


def directions_table(found: TokenDirections) -> str:
    """As a Markdown table."""
    lines = [
        f"**{found.model}**: singular directions of each token's block of W, from its "
        f"embedding x to the logits of the next token less their mean, after "
        f"{code(found.prompt)}\n",
        "| token | s | cos(x, v) | share | raises | lowers | v is nearest to |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    for each in found.directions:
        numbers = [f"{each.value:.1f}", f"{each.cosine:.2f}", f"{each.share:.0%}"]
        words = [each.raised, each.lowered, each.embeddings]
        cells = [code(each.token), *numbers, *(" ".join(map(code, listed)) for listed in words)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
