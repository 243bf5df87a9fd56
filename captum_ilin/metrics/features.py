"""``Features``: what a perturbation removes from an input, single values or groups of them.

A batch of inputs (a tensor, or a tuple of them) is read as (batch, size): one row for each
example, the inputs of a tuple side by side. Under Captum's ``feature_mask`` values with the
same number are one feature and are removed together; without one every value is a feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Features", "as_tuple", "batch_of", "flattened"]

Inputs = Tensor | tuple[Tensor, ...]


def as_tuple(inputs: Inputs) -> tuple[Tensor, ...]:
    """A tuple of tensors, whatever was given."""
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)


def batch_of(inputs: Inputs) -> int:
    """How many examples there are.

    Raises:
        MetricInputError: none, or not equally many in each tensor of a tuple.
    """
    shapes = [tuple(part.shape) for part in as_tuple(inputs)]
    batches = {shape[0] if shape else 0 for shape in shapes}
    if len(batches) != 1 or 0 in batches:
        raise MetricInputError(
            f"There are tensors of shape {shapes}; expected (batch, …) with a batch of 1 or "
            "more, the same in each, because a metric is a number for each example."
        )
    return batches.pop()


def flattened(inputs: Inputs) -> Tensor:
    """(batch, size): one row for each example, the tensors of a tuple side by side.

    Raises:
        MetricInputError: there are no examples.
    """
    batch = batch_of(inputs)
    return torch.cat([part.detach().reshape(batch, -1) for part in as_tuple(inputs)], 1)


def paired(parts: tuple[Tensor, ...], others: Inputs, what: str) -> list[tuple[Tensor, Tensor]]:
    """Each input with what belongs to it.

    Raises:
        MetricInputError: there are not equally many.
    """
    given = as_tuple(others)
    if len(given) != len(parts):
        raise MetricInputError(
            f"{what}: expected one tensor for each input, {len(parts)}, got {len(given)}."
        )
    return list(zip(parts, given, strict=True))


class Features:
    """The removable features of a batch of inputs.

    Args:
        inputs: (batch, \\*features), or a tuple of such tensors.
        feature_mask: integers shaped like the inputs (or with 1 in place of batch): values
            with the same number are one feature. Default: every value is one.

    Attributes:
        count: how many features there are; an example may have fewer, see `present`.
        numbers: (batch or 1, size) the feature that each value belongs to.
    """

    def __init__(self, inputs: Inputs, feature_mask: Inputs | None = None) -> None:
        self.parts = tuple(part.detach() for part in as_tuple(inputs))
        self.values = flattened(self.parts)
        self.numbers = self._numbers(feature_mask)
        self.count = int(self.numbers.max()) + 1

    def _numbers(self, feature_mask: Inputs | None) -> Tensor:
        if feature_mask is None:
            return torch.arange(self.values.shape[1], device=self.values.device)[None]
        masks = as_tuple(feature_mask)
        for part, mask in paired(self.parts, masks, "feature_mask"):
            fits = mask.shape[1:] == part.shape[1:] and len(mask) in (1, len(part))
            if not fits or mask.is_floating_point():
                raise MetricInputError(
                    f"feature_mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; "
                    f"expected integers of shape {tuple(part.shape)}, or with 1 in place of "
                    "the batch, because it numbers the inputs' values."
                )
            if int(mask.min()) < 0:
                raise MetricInputError(
                    f"feature_mask holds {int(mask.min())}; expected the numbers of features, "
                    "from 0."
                )
        rows = max(len(mask) for mask in masks)
        return flattened(tuple(mask.expand(rows, *mask.shape[1:]) for mask in masks)).long()

    def present(self) -> Tensor:
        """(batch, count) bool: which features an example has.

        They differ where a feature mask numbers each example's values in its own way.
        """
        numbers = self.numbers.expand(len(self.values), -1)
        absent = torch.zeros(len(numbers), self.count, dtype=torch.bool, device=numbers.device)
        return absent.scatter_(1, numbers, True)

    def of(self, attributions: Inputs) -> Tensor:
        """(batch, count): each feature's attribution, summed over its values, in float64."""
        for part, given in paired(self.parts, attributions, "attributions"):
            if given.shape != part.shape:
                raise MetricInputError(
                    f"The attributions have shape {tuple(given.shape)}, the inputs "
                    f"{tuple(part.shape)}; expected one attribution for each input value."
                )
        flat = flattened(attributions).double()
        return flat.new_zeros(len(flat), self.count).scatter_add_(
            1, self.numbers.expand(len(flat), -1), flat
        )

    def replaced(
        self, examples: Tensor, removed: Tensor, baselines: Inputs
    ) -> tuple[Tensor, ...]:
        """Inputs with features replaced by the baseline's.

        Args:
            examples: (rows,) which example each row starts from.
            removed: (rows, count) bool: the features that are replaced.
            baselines: shaped like the inputs (or with 1 in place of batch).

        Returns:
            A tuple of (rows, \\*features).
        """
        numbers = self.numbers[
            examples if len(self.numbers) > 1 else torch.zeros_like(examples)
        ]
        base = flattened(baselines).to(self.values)
        replacement = base[examples if len(base) > 1 else torch.zeros_like(examples)]
        return self.shaped(
            torch.where(removed.gather(1, numbers), replacement, self.values[examples])
        )

    def shaped(self, rows: Tensor) -> tuple[Tensor, ...]:
        """(rows, size) back into the inputs' own shapes."""
        sizes: Sequence[int] = [part[0].numel() for part in self.parts]
        return tuple(
            piece.reshape(len(rows), *part.shape[1:]).to(part.dtype)
            for piece, part in zip(rows.split(list(sizes), 1), self.parts, strict=True)
        )
