"""Terms by enumeration: F at every pattern, then averages over the table. Exact."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from captum_ilin.companions.categorical.terms import decomposed
from captum_ilin.companions.categorical.variance import exact_variance, mean_square
from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from tqdm.auto import tqdm

    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.evaluator import Evaluator
    from captum_ilin.companions.categorical.groups import Groups
    from captum_ilin.companions.categorical.terms import Positions
    from captum_ilin.companions.categorical.variance import Variance

__all__ = ["Found", "check_patterns", "enumerated"]


class Found(NamedTuple):
    """Terms (q_i, …, outputs), their standard errors or None where exact, and the variance."""

    terms: dict[Positions, Tensor]
    standard_errors: dict[Positions, Tensor] | None
    variance: Variance
    evaluations: int


def check_patterns(groups: Groups, outputs: int, most: int) -> None:
    """That every pattern can be run and the table kept.

    Raises:
        CompanionInputError: there are too many; it says how many.
    """
    if groups.patterns > most:
        raise CompanionInputError(
            f"The {len(groups)} groups have {_shown(groups.patterns)} patterns, too many to "
            f"enumerate (at most {most:,}). Sample them: expand(…, samples=200) estimates "
            "the terms with standard errors. Or expand fewer positions, Groups.only, or allow "
            "more with max_patterns."
        )
    if groups.patterns * outputs > most * 16:
        raise CompanionInputError(
            f"The table of {groups.patterns:,} patterns and {outputs:,} outputs holds "
            f"{groups.patterns * outputs:,} numbers, too many to keep (at most {most * 16:,}). "
            "Choose one output with target=…, sample with samples=…, or allow more with "
            "max_patterns."
        )


def _shown(count: int) -> str:
    return f"{count:,}" if count < 10**9 else f"{Decimal(count):.1e}"  # no float is too small


def enumerated(
    evaluator: Evaluator, background: Background, order: int, progress: tqdm[None]
) -> Found:
    """The exact terms of up to ``order`` positions."""
    counts = evaluator.groups.counts
    table = _table(evaluator, progress)
    weights = list(background.probabilities)
    split = decomposed(table.reshape(*counts, -1), weights, order)
    terms = dict(sorted(split, key=lambda item: (len(item[0]), item[0])))
    total = mean_square((table - terms[()]).reshape(*counts, -1), weights)
    return Found(terms, None, exact_variance(total, terms, background), len(table))


def _table(evaluator: Evaluator, progress: tqdm[None]) -> Tensor:
    """F at every pattern, the last position running fastest, (patterns, outputs)."""
    groups, parts = evaluator.groups, []
    for numbers in torch.arange(groups.patterns).split(evaluator.batch_size):
        codes = torch.stack(torch.unravel_index(numbers, groups.counts), 1)
        parts.append(evaluator(codes).reshape(len(codes), -1))
        progress.update(len(codes))
    return torch.cat(parts)
