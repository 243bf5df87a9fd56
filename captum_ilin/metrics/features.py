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

__all__ = ["Features", "as_tuple", "flattened"]

Inputs = Tensor | tuple[Tensor, ...]


def as_tuple(inputs: Inputs) -> tuple[Tensor, ...]:
    """A tuple of tensors, whatever was given."""
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)


def flattened(inputs: Inputs) -> Tensor:
    """(batch, size): one row for each example, the tensors of a tuple side by side."""
    parts = as_tuple(inputs)
    return torch.cat([part.detach().reshape(len(part), -1) for part in parts], 1)


class Features:
    """The removable features of a batch of inputs.

    Args:
        inputs: (batch, \\*features), or a tuple of such tensors.
        feature_mask: integers shaped like the inputs (or with 1 in place of batch): values
            with the same number are one feature. Default: every value is one.

    Attributes:
        count: how many features an example has.
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
        for part, mask in zip(self.parts, masks, strict=True):
            fits = mask.shape[1:] == part.shape[1:] and len(mask) in (1, len(part))
            if not fits or mask.is_floating_point():
                raise MetricInputError(
                    f"feature_mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; "
                    f"expected integers of shape {tuple(part.shape)}, or with 1 in place of "
                    "the batch, because it numbers the inputs' values."
                )
        rows = max(len(mask) for mask in masks)
        return flattened(tuple(mask.expand(rows, *mask.shape[1:]) for mask in masks)).long()

    def of(self, attributions: Inputs) -> Tensor:
        """(batch, count): each feature's attribution, summed over its values, in float64."""
        for part, given in zip(self.parts, as_tuple(attributions), strict=True):
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
