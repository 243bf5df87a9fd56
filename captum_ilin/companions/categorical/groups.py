"""``Groups``: which features of an input are the one-hot code of which categorical position.

A position i has q_i categories, and one feature for each of them; exactly one is 1, the
others are 0. A pattern a = (a_1, …, a_L) has a category for each position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Groups"]


@dataclass(frozen=True)
class Groups:
    """Declared groups of one-hot features, one for each categorical position.

    Attributes:
        shape: of one example, without the batch.
        features: of each group, the place of each category in the flattened example.
        names: of the groups.
        categories: the names of each group's categories.
        cleared: features that are 0 in every pattern: the categories left out by `only`.

    Raises:
        CompanionInputError: no groups, a group of fewer than two categories, groups that
            overlap or lie outside the example, names that do not fit or repeat.

    Make it by `of_positions` or `of_columns`.

    >>> groups = Groups.of_positions((5, 4), letters="ACGT")
    >>> groups
    Groups(5 groups of 4 categories, 1,024 patterns)
    >>> groups.names[0], groups.categories[0]
    ('0', ('A', 'C', 'G', 'T'))
    """

    shape: tuple[int, ...]
    features: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    cleared: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.features:
            raise CompanionInputError(
                "There are no groups; expected at least one. Declare the features of each "
                "categorical position: Groups.of_positions or Groups.of_columns."
            )
        _check_names(self)
        for name, group in zip(self.names, self.features, strict=True):
            self._check_group(name, group)
        _check_overlap(self)

    def _check_group(self, name: str, group: tuple[int, ...]) -> None:
        if len(group) < 2:
            raise CompanionInputError(
                f"Group {name!r} has {len(group)} categories; expected at least 2, one "
                "feature each. A position that never varies belongs to no group."
            )
        size = math.prod(self.shape)
        if wrong := [place for place in group if not 0 <= place < size]:
            raise CompanionInputError(
                f"Group {name!r} has feature {wrong[0]}, but an example of shape "
                f"{self.shape} has features 0 to {size - 1}."
            )

    def __repr__(self) -> str:
        counts = sorted(set(self.counts))
        size = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"Groups({len(self)} groups of {size} categories, {self.patterns:,} patterns)"

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of_positions(
        cls,
        shape: Sequence[int],
        *,
        categories_dim: int = -1,
        letters: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> Groups:
        """Groups of a tensor of one-hot codes, such as a sequence.

        Args:
            shape: of one example: (L, q), or with more dimensions of positions.
            categories_dim (optional): the dimension of ``shape`` that runs over the
                categories: −1 for (L, q), 0 for (q, L).
            letters (optional): the names of the categories. Default: "0", "1", …
            names (optional): of the positions. Default: "0", "1", …

        >>> Groups.of_positions((4, 100), categories_dim=0).features[7]
        (7, 107, 207, 307)
        """
        whole = tuple(int(size) for size in shape)
        if not -len(whole) <= categories_dim < len(whole):
            raise CompanionInputError(
                f"categories_dim is {categories_dim}, but one example has the {len(whole)} "
                f"dimensions of shape {whole}. Leave out the batch in both."
            )
        places = torch.arange(math.prod(whole)).reshape(whole)
        rows = places.movedim(categories_dim, -1).reshape(-1, whole[categories_dim]).tolist()
        numbers = letters if letters is not None else range(whole[categories_dim])
        shown = tuple(map(str, numbers))
        positions = names if names is not None else range(len(rows))
        return cls(
            whole,
            tuple(map(tuple, rows)),
            tuple(map(str, positions)),
            tuple(shown for _ in rows),
        )

    @classmethod
    def of_columns(
        cls,
        features: int,
        columns: Mapping[str, Sequence[int]],
        *,
        categories: Mapping[str, Sequence[str]] | None = None,
    ) -> Groups:
        """Groups of the columns of a table, each with as many categories as it has columns.

        Args:
            features: columns of the table.
            columns: name of a group → its columns.
            categories (optional): name of a group → the names of its categories. Default:
                the numbers of the columns.

        >>> Groups.of_columns(6, {"colour": [0, 1, 2], "size": [4, 5]})
        Groups(2 groups of 2 to 3 categories, 6 patterns)
        """
        named = categories or {}
        return cls(
            (features,),
            tuple(tuple(int(column) for column in group) for group in columns.values()),
            tuple(columns),
            tuple(tuple(map(str, named.get(name, group))) for name, group in columns.items()),
        )

    @property
    def counts(self) -> tuple[int, ...]:
        """q_i, the categories of each group."""
        return tuple(map(len, self.features))

    @property
    def patterns(self) -> int:
        """How many patterns there are: the product of the counts."""
        return math.prod(self.counts)

    @property
    def outside(self) -> tuple[int, ...]:
        """Features of the flattened example that no group has."""
        inside = set(chain(self.cleared, *self.features))
        return tuple(place for place in range(math.prod(self.shape)) if place not in inside)

    def number(self, group: int | str) -> int:
        """A group's number, from 0.

        Raises:
            CompanionInputError: there is no such group.
        """
        if isinstance(group, str) and group in self.names:
            return self.names.index(group)
        if isinstance(group, int) and 0 <= group < len(self):
            return group
        raise CompanionInputError(
            f"There is no group {group!r}; expected a number from 0 to {len(self) - 1} or one "
            f"of the names {_few(self.names)}."
        )

    def only(
        self, groups: Sequence[int | str], *, letters: Sequence[str] | None = None
    ) -> Groups:
        """Some of the groups, and if asked some of their categories.

        What the other groups hold is no longer varied. Categories that are left out never
        occur: their features are 0.

        Args:
            groups: numbers or names.
            letters (optional): the categories to keep. Default: all.

        >>> Groups.of_positions((5, 4), letters="ACGT").only([0, 3], letters="AC")
        Groups(2 groups of 2 categories, 4 patterns)
        """
        chosen = [self.number(group) for group in groups]
        part = replace(
            self,
            features=tuple(self.features[number] for number in chosen),
            names=tuple(self.names[number] for number in chosen),
            categories=tuple(self.categories[number] for number in chosen),
        )
        return part if letters is None else part._with_letters(tuple(map(str, letters)))

    def _with_letters(self, letters: tuple[str, ...]) -> Groups:
        for name, known in zip(self.names, self.categories, strict=True):
            if missing := [letter for letter in letters if letter not in known]:
                raise CompanionInputError(
                    f"Group {name!r} has no category {missing[0]!r}; expected some of "
                    f"{_few(known)}."
                )
        kept = tuple(
            tuple(group[known.index(letter)] for letter in letters)
            for group, known in zip(self.features, self.categories, strict=True)
        )
        left_out = set(chain(*self.features)) - set(chain(*kept))
        return replace(
            self,
            features=kept,
            categories=tuple(letters for _ in kept),
            cleared=(*self.cleared, *sorted(left_out)),
        )

    def encode(self, codes: Tensor, held: Tensor | None = None) -> Tensor:
        """Patterns as one-hot inputs.

        Args:
            codes: (patterns, L), the number of each position's category.
            held (optional): (1, \\*shape): the features outside the groups, and the result's
                dtype and device. Default: zeros, in torch's default dtype.

        Returns:
            (patterns, \\*shape)

        >>> Groups.of_positions((2, 3)).encode(torch.tensor([[2, 0]]))
        tensor([[[0., 0., 1.],
                 [1., 0., 0.]]])
        """
        template = torch.zeros(1, *self.shape) if held is None else held
        places = self._places(codes).to(template.device)
        inputs = self._emptied(template).repeat(len(codes), 1)
        return inputs.scatter_(1, places, 1.0).reshape(len(codes), *self.shape)

    def _places(self, codes: Tensor) -> Tensor:
        """The feature that is 1, of each pattern and group, (patterns, L)."""
        table = torch.zeros(len(self), max(self.counts), dtype=torch.long)
        for row, group in zip(table, self.features, strict=True):
            row[: len(group)] = torch.tensor(group)
        return table[torch.arange(len(self)), codes.cpu()]

    def _emptied(self, held: Tensor) -> Tensor:
        """(1, features): the held values, and 0 in the groups."""
        flat = held.detach().reshape(1, -1).clone()
        flat[:, list(chain(self.cleared, *self.features))] = 0.0
        return flat

    def decode(self, inputs: Tensor) -> Tensor:
        """The patterns of one-hot inputs.

        Args:
            inputs: (batch, \\*shape)

        Returns:
            (batch, L), the number of each position's category.

        Raises:
            CompanionInputError: the shape is another, or a group is not one-hot.

        >>> Groups.of_positions((2, 3)).decode(torch.tensor([[[0, 0, 1.0], [1, 0, 0]]]))
        tensor([[2, 0]])
        """
        self.check_shape(inputs, "inputs")
        flat = inputs.detach().flatten(1)
        self._check_cleared(flat)
        return torch.stack([self._decoded(flat, number) for number in range(len(self))], 1)

    def check_shape(self, inputs: object, name: str) -> None:
        """That these are examples of the groups' shape.

        Raises:
            CompanionInputError: they are not.
        """
        wanted = f"(batch, {', '.join(map(str, self.shape))})"
        if not isinstance(inputs, Tensor):
            got = type(inputs).__name__
        elif tuple(inputs.shape[1:]) == self.shape:
            return
        else:
            got = str(tuple(inputs.shape))
        raise CompanionInputError(
            f"{name} must be one tensor shaped {wanted}, as the groups were declared, but got "
            f"{got}."
        )

    def _decoded(self, flat: Tensor, number: int) -> Tensor:
        part = flat[:, list(self.features[number])]
        is_code = ((part == 0) | (part == 1)).all(1) & (part.sum(1) == 1)
        if not is_code.all():
            row = int((~is_code).nonzero()[0, 0])
            raise CompanionInputError(
                f"Example {row} is not one-hot in group {self.names[number]!r}: expected one 1 "
                f"and otherwise 0, but got {_few(part[row].tolist())}. Declare other groups, "
                "or pass inputs before any scaling or embedding."
            )
        return part.argmax(1)

    def _check_cleared(self, flat: Tensor) -> None:
        if self.cleared and bool((found := flat[:, list(self.cleared)] != 0).any()):
            row, column = found.nonzero()[0].tolist()
            raise CompanionInputError(
                f"Example {row} has feature {self.cleared[column]}, a category that was left "
                "out of the groups by ``only(letters=…)``. Keep its letter."
            )


def _check_names(groups: Groups) -> None:
    if len(set(groups.names)) != len(groups.features):
        raise CompanionInputError(
            f"There are {len(groups.features)} groups and {len(set(groups.names))} different "
            "names; expected one name for each group, none twice."
        )
    for name, group, known in zip(
        groups.names, groups.features, groups.categories, strict=True
    ):
        if len(set(known)) != len(group):
            raise CompanionInputError(
                f"Group {name!r} has {len(group)} categories and {len(set(known))} different "
                "names of categories; expected one for each, none twice."
            )


def _check_overlap(groups: Groups) -> None:
    owner: dict[int, str] = dict.fromkeys(groups.cleared, "the categories left out")
    for name, group in zip(groups.names, groups.features, strict=True):
        for place in group:
            if place in owner:
                raise CompanionInputError(
                    f"Groups {owner[place]!r} and {name!r} overlap: both have feature {place}. "
                    "A feature is a category of one group."
                )
            owner[place] = name


def _few(values: Sequence[object]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return f"{shown}, … ({len(values)} in all)" if len(values) > 8 else shown
