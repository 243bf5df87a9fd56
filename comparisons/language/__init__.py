"""Exact contributions of tokens to what a language model computes, drawn as coloured text."""

from __future__ import annotations

from comparisons.language.contributions import TokenContributions
from comparisons.language.directions import TokenDirections, directions
from comparisons.language.next_token import next_token
from comparisons.language.similarity import similarity
from comparisons.language.tokens import PromptError
from comparisons.models.language import LanguageModel

__all__ = [
    "LanguageModel",
    "PromptError",
    "TokenContributions",
    "TokenDirections",
    "directions",
    "next_token",
    "similarity",
]
