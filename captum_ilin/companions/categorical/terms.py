"""Terms of an expansion, and the gauge in which they are unique.

F(a) = φ + Σ_i h_i(a_i) + Σ_{i<j} J_ij(a_i, a_j) + …; a term is kept under the positions that it
is of: φ under (), h_i under (i,), J_ij under (i, j). Constants can be moved between terms
without changing F. In the zero-sum gauge every term's average over any one of its positions is
0, which makes it unique: the functional ANOVA (Hoeffding 1948) of F under the background,

    F_S = Π_{i∈S} (1 − M_i) Π_{i∉S} M_i F,    M_i the average over position i.

Source: Zamuner and De Los Rios 2021, arXiv 2102.03202.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.companions.categorical.background import background_of
from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.groups import Groups

__all__ = ["Positions", "averaged", "decomposed", "energy", "terms_from", "zero_sum_gauge"]

Positions = tuple[int, ...]


def zero_sum_gauge(
    terms: Mapping[Positions, Tensor],
    groups: Groups,
    background: Background | Tensor | Sequence[Tensor] | None = None,
) -> dict[Positions, Tensor]:
    """The same F in the zero-sum gauge, from terms in any gauge.

    With a dot for the average over that position:
    J'_ij = J_ij − J_ij(·,b) − J_ij(a,·) + J_ij(·,·);
    h'_i = h_i − h_i(·) + Σ_{j≠i} [J_ij(a,·) − J_ij(·,·)];
    φ' = φ + Σ_i h_i(·) + Σ_{i<j} J_ij(·,·); and so on for terms of more positions.

    Args:
        terms: positions in ascending order → (q_i, q_j, …, \\*out). `terms_from` makes them of
            arrays.
        groups: whose positions they are.
        background (optional): what averages are taken over. Default: None, uniform.

    Returns:
        Terms of the same and of fewer positions, in float64.

    Raises:
        CompanionInputError: a term's shape does not fit its groups.

    >>> from captum_ilin.companions.categorical import Groups
    >>> groups = Groups.of_positions((1, 2))
    >>> zero_sum_gauge({(0,): torch.tensor([1.0, 5.0])}, groups)
    {(): tensor(3., dtype=torch.float64), (0,): tensor([-2.,  2.], dtype=torch.float64)}
    """
    chosen = background_of(groups, background)
    check_terms(terms, groups)
    found: dict[Positions, Tensor] = {}
    for positions, term in terms.items():
        weights = [chosen.probabilities[i] for i in positions]
        values = term.detach().to("cpu", torch.float64)
        for part, share in decomposed(values, weights):
            key = tuple(positions[axis] for axis in part)
            found[key] = found[key] + share if key in found else share
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def terms_from(
    phi: Tensor, h: Tensor | None = None, J: Tensor | None = None
) -> dict[Positions, Tensor]:
    """Terms of dense arrays, for positions of equally many categories.

    Args:
        phi: φ, (\\*out).
        h (optional): (L, q, \\*out).
        J (optional): (L, L, q, q, \\*out); J[i, j] with i < j is read.

    Returns:
        Positions → term.

    >>> list(terms_from(torch.zeros(()), torch.zeros(2, 3), torch.zeros(2, 2, 3, 3)))
    [(), (0,), (1,), (0, 1)]
    """
    terms: dict[Positions, Tensor] = {(): phi}
    if h is not None:
        terms |= {(i,): term for i, term in enumerate(h)}
    if J is not None:
        pairs = ((i, j) for i in range(len(J)) for j in range(i + 1, len(J)))
        terms |= {(i, j): J[i, j] for i, j in pairs}
    return terms


def energy(terms: Mapping[Positions, Tensor], codes: Tensor) -> Tensor:
    """The sum of the terms at patterns.

    Args:
        terms: positions → (q_i, q_j, …, \\*out).
        codes: (patterns, L), as ``Groups.decode`` gives them.

    Returns:
        (patterns, \\*out)

    >>> terms = {(): torch.tensor(1.0), (1,): torch.tensor([0.0, 10.0])}
    >>> energy(terms, torch.tensor([[0, 1], [0, 0]]))
    tensor([11.,  1.])
    """
    columns = codes.unbind(1)
    total: Tensor | None = None
    for positions, term in terms.items():
        each = term[tuple(columns[i] for i in positions)] if positions else term
        total = each if total is None else total + each
    if total is None:
        raise CompanionInputError(
            "There are no terms to add up; expected φ, under (), at least."
        )
    return total.expand(len(codes), *total.shape) if list(terms) == [()] else total


def decomposed(
    values: Tensor, weights: Sequence[Tensor], order: int | None = None
) -> Iterator[tuple[Positions, Tensor]]:
    """The terms F_S of a table of values, each S with at most ``order`` of the axes.

    Args:
        values: (q_1, …, q_L, \\*rest), a table of F over every pattern.
        weights: (q_i,) of each of the first L axes.
        order: None for all.
    """
    yield from _branches(values, list(weights), len(weights) if order is None else order, 0, ())


def _branches(
    values: Tensor, weights: list[Tensor], order: int, axis: int, kept: Positions
) -> Iterator[tuple[Positions, Tensor]]:
    """Average over the next axis, or centre it; ``kept`` are the axes that were centred."""
    if axis == len(weights):
        yield kept, values
        return
    mean = averaged(values, weights[axis], len(kept))
    yield from _branches(mean, weights, order, axis + 1, kept)
    if len(kept) < order:
        centred = values - mean.unsqueeze(len(kept))
        yield from _branches(centred, weights, order, axis + 1, (*kept, axis))


def averaged(values: Tensor, weights: Tensor, axis: int) -> Tensor:
    """The weighted average over an axis."""
    return torch.tensordot(weights, values.movedim(axis, 0), dims=1)


def check_terms(terms: Mapping[Positions, Tensor], groups: Groups) -> None:
    """That every term is shaped as its groups are.

    Raises:
        CompanionInputError: one is not, or its positions are not in ascending order.
    """
    for positions, term in terms.items():
        is_known = all(0 <= i < len(groups) for i in positions)
        if not is_known or any(a >= b for a, b in pairwise(positions)):
            raise CompanionInputError(
                f"A term is kept under its positions, from 0 to {len(groups) - 1} in "
                f"ascending order, but got {positions}."
            )
        wanted = tuple(groups.counts[i] for i in positions)
        if tuple(term.shape[: len(wanted)]) != wanted:
            raise CompanionInputError(
                f"The term of positions {positions} must be shaped {(*wanted, '…')}, as its "
                f"groups have categories, but got {tuple(term.shape)}."
            )
