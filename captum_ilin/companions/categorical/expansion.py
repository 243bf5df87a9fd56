"""``Expansion``: a trained network as a sum over positions, over pairs of positions, and so on.

F(a) = φ + Σ_i h_i(a_i) + Σ_{i<j} J_ij(a_i, a_j) + …, in the zero-sum gauge of a background:
φ = E[F]; h_i(a) = E[F | a_i=a] − φ; J_ij(a, b) = E[F | a, b] − E[F | a] − E[F | b] + φ.
With as many orders as positions the sum is F itself.

Source: Zamuner and De Los Rios 2021, arXiv 2102.03202.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.companions.categorical.terms import energy
from captum_ilin.companions.categorical.variance import mean_square
from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.groups import Groups
    from captum_ilin.companions.categorical.terms import Positions
    from captum_ilin.companions.categorical.variance import Variance

__all__ = ["Expansion"]


@dataclass(frozen=True, repr=False)
class Expansion:
    """The terms of F in the zero-sum gauge. Made by `expand`.

    Attributes:
        groups: the positions and their categories.
        background: what averages are taken over.
        terms: positions in ascending order → (q_i, q_j, …, \\*out), float64: φ under (), h_i
            under (i,), J_ij under (i, j).
        standard_errors: of every entry of the terms, shaped alike; None where exact.
        variance: of F over the background, by order: see `Variance`.
        samples: random backgrounds of each block; None by enumeration.
        evaluations: patterns the network was run at.
    """

    groups: Groups
    background: Background
    terms: dict[Positions, Tensor]
    standard_errors: dict[Positions, Tensor] | None
    variance: Variance
    samples: int | None
    evaluations: int

    def __repr__(self) -> str:
        how = "exact" if self.samples is None else f"{self.samples} samples"
        return (
            f"Expansion(order {self.order} of {len(self.groups)} groups, "
            f"{self.background.name} background, {how})"
        )

    @property
    def order(self) -> int:
        """The most positions a term has."""
        return max(map(len, self.terms))

    @property
    def phi(self) -> Tensor:
        """φ, the mean of F over the background, (\\*out)."""
        return self.terms[()]

    def field(self, group: int | str) -> Tensor:
        """h_i, what each category of a position adds on average, (q_i, \\*out).

        Args:
            group: the position's number or name.

        Raises:
            CompanionInputError: no such group, or an expansion of order 0.
        """
        return self._term((self.groups.number(group),))

    def coupling(self, first: int | str, second: int | str) -> Tensor:
        """J_ij, what a pair of categories adds beside what each does, (q_i, q_j, \\*out).

        Args:
            first, second: the positions' numbers or names, in any order.

        Raises:
            CompanionInputError: no such groups, the same one twice, or an expansion of an
                order below 2.
        """
        i, j = self.groups.number(first), self.groups.number(second)
        if i == j:
            raise CompanionInputError(
                f"A coupling is of two different positions, but got {first!r} twice. Use field "
                "for one."
            )
        found = self._term((min(i, j), max(i, j)))
        return found if i < j else found.transpose(0, 1)

    def fields(self) -> Tensor:
        """Every h_i in one table, (L, q, \\*out), for positions of equally many categories.

        Raises:
            CompanionInputError: they have not.
        """
        if len(set(self.groups.counts)) > 1:
            raise CompanionInputError(
                f"The groups have from {min(self.groups.counts)} to {max(self.groups.counts)} "
                "categories, which make no table. Take one at a time: field(group)."
            )
        return torch.stack([self.field(i) for i in range(len(self.groups))])

    def strengths(self) -> Tensor:
        """The variance of each J_ij, (L, L, \\*out), in F's unit squared; 0 on the diagonal.

        Unbiased: an estimated term's own error is subtracted, so a weak pair's may come out
        below 0.

        Raises:
            CompanionInputError: an expansion of an order below 2.
        """
        size = len(self.groups)
        found = self.phi.new_zeros(size, size, *self.phi.shape)
        self._term((0, 1))
        for positions, term in self.terms.items():
            if len(positions) == 2:
                i, j = positions
                found[i, j] = found[j, i] = self._strength(positions, term)
        return found

    def _strength(self, positions: Positions, term: Tensor) -> Tensor:
        weights = [self.background.probabilities[i] for i in positions]
        found = mean_square(term, weights)
        if self.standard_errors is None:
            return found
        return found - mean_square(self.standard_errors[positions], weights)

    def __call__(self, inputs: Tensor, *, order: int | None = None) -> Tensor:
        """The sum of the terms at one-hot inputs.

        Args:
            inputs: (batch, \\*shape), one-hot in every group.
            order (optional): of up to so many positions. Default: all there are.

        Returns:
            (batch, \\*out), float64.

        Raises:
            CompanionInputError: the inputs are not one-hot.
        """
        codes = self.groups.decode(inputs).cpu()
        most = self.order if order is None else order
        return energy({key: f for key, f in self.terms.items() if len(key) <= most}, codes)

    def _term(self, positions: Positions) -> Tensor:
        if positions not in self.terms:
            raise CompanionInputError(
                f"This expansion is of order {self.order} over {len(self.groups)} groups and "
                f"has no term of {len(positions)} positions. Expand again with "
                f"order={len(positions)}."
            )
        return self.terms[positions]
