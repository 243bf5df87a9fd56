"""``Background``: the distribution of patterns over which terms are averaged.

Positions are independent: p(a) = Π_i p_i(a_i). Uniform unless told, which is the zero-sum
gauge proper; any other p makes the terms sum to zero with its weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from captum_ilin.companions.categorical.groups import Groups

__all__ = ["Background", "background_of"]

OFF = 1e-6  # how far from 1 a sum may be: probabilities in single precision are


@dataclass(frozen=True, eq=False)
class Background:
    """Probabilities of each position's categories.

    Attributes:
        name: what to call it in texts and pictures.
        probabilities: of each group (q_i,), float64, on the CPU.

    >>> from captum_ilin.companions.categorical import Groups
    >>> Background.uniform(Groups.of_positions((2, 4))).probabilities[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """

    name: str
    probabilities: tuple[Tensor, ...]

    def __repr__(self) -> str:
        return f"Background({self.name!r}, {len(self.probabilities)} groups)"

    @classmethod
    def uniform(cls, groups: Groups) -> Background:
        """Every category alike."""
        each = (torch.full((n,), 1 / n, dtype=torch.float64) for n in groups.counts)
        return cls("uniform", tuple(each))

    @classmethod
    def of(
        cls, groups: Groups, probabilities: Tensor | Sequence[Tensor], *, name: str
    ) -> Background:
        """A distribution of your own.

        Args:
            groups: whose categories they are of.
            probabilities: (L, q), or (q,) for every position alike, or a tensor (q_i,) for
                each group.
            name: what to call it.

        Raises:
            CompanionInputError: not one probability for each category, negative, or a
                position's do not add up to 1.

        >>> from captum_ilin.companions.categorical import Groups
        >>> groups = Groups.of_positions((2, 3))
        >>> Background.of(groups, torch.tensor([0.5, 0.25, 0.25]), name="mine")
        Background('mine', 2 groups)
        """
        rows = _rows(groups, probabilities)
        if len(rows) != len(groups):
            raise CompanionInputError(
                f"The background has probabilities for {len(rows)} positions, but there are "
                f"{len(groups)} groups. Pass one row for each group."
            )
        each = enumerate(rows)
        return cls(name, tuple(_distribution(groups, number, row) for number, row in each))

    @classmethod
    def of_data(
        cls, groups: Groups, inputs: Tensor, *, name: str, pseudocount: float = 0.0
    ) -> Background:
        """How often each position has each category in data.

        Args:
            groups: of the inputs.
            inputs: (examples, \\*shape), one-hot in every group.
            name: what to call it.
            pseudocount (optional): added to every category's count.

        Raises:
            CompanionInputError: the inputs are not one-hot, or there are none.

        >>> from captum_ilin.companions.categorical import Groups
        >>> groups = Groups.of_positions((2, 2))
        >>> x = groups.encode(torch.tensor([[0, 1], [1, 1]]))
        >>> Background.of_data(groups, x, name="two examples").probabilities[1]
        tensor([0., 1.], dtype=torch.float64)
        """
        codes = groups.decode(inputs)
        if not len(codes) and not pseudocount:
            raise CompanionInputError(
                "The data hold no examples to count categories in. Pass some, or a "
                "pseudocount above 0 for a uniform background."
            )
        rows = []
        for column, count in zip(codes.cpu().unbind(1), groups.counts, strict=True):
            found = torch.bincount(column, minlength=count).double() + pseudocount
            rows.append(found / found.sum())
        return cls.of(groups, rows, name=name)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Patterns, independently of each other, as codes (count, L)."""
        widest = max(map(len, self.probabilities))
        table = torch.zeros(len(self.probabilities), widest, dtype=torch.float64)
        for row, each in zip(table, self.probabilities, strict=True):
            row[: len(each)] = each
        return torch.multinomial(table, count, replacement=True, generator=generator).T


def background_of(
    groups: Groups, background: Background | Tensor | Sequence[Tensor] | None
) -> Background:
    """What a caller may give for a background, as one that fits the groups.

    Raises:
        CompanionInputError: it does not.
    """
    if background is None:
        return Background.uniform(groups)
    if isinstance(background, Background):
        return Background.of(groups, background.probabilities, name=background.name)
    return Background.of(groups, background, name="given")


def _rows(groups: Groups, probabilities: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if not isinstance(probabilities, Tensor):
        return [torch.as_tensor(row) for row in probabilities]
    if probabilities.dim() == 1:
        return [probabilities] * len(groups)
    return list(probabilities)


def _distribution(groups: Groups, number: int, row: Tensor) -> Tensor:
    name, count = groups.names[number], groups.counts[number]
    if row.shape != (count,):
        raise CompanionInputError(
            f"The background of group {name!r} is shaped {tuple(row.shape)}; expected "
            f"({count},), a probability for each category."
        )
    found = row.detach().to("cpu", torch.float64)
    total = float(found.sum())
    if bool((found < 0).any()) or not abs(total - 1) <= OFF:
        raise CompanionInputError(
            f"The background of group {name!r} is no distribution: expected probabilities "
            f"from 0 that add up to 1, but the smallest is {float(found.min()):g} and the sum "
            f"{total:g}. Divide counts by their sum."
        )
    return found / total
