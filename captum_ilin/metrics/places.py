"""``Places``: attributions and a mask of the evidence, read place by place.

A place is what the mask tells apart. Where the mask has size 1 and the attributions have more
(an image's channels), the attributions are summed over that dimension first: a pixel's
attribution is the sum of its channels'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import as_tuple, flattened

if TYPE_CHECKING:
    from captum_ilin.metrics.features import Inputs

__all__ = ["PARTS", "Places"]

PARTS = {
    "positive": lambda values: values.clamp(min=0),
    "absolute": lambda values: values.abs(),
    "signed": lambda values: values,
}


@dataclass(frozen=True)
class Places:
    """The attributions of places and which of them the evidence lies in.

    Attributes:
        values: (batch, places), float64.
        inside: (batch, places), bool.
    """

    values: Tensor
    inside: Tensor

    @classmethod
    def of(cls, attributions: Inputs, mask: Inputs, part: str = "signed") -> Places:
        """Summed over the dimensions in which the mask has size 1, then the part taken.

        Raises:
            MetricInputError: the mask does not fit, is not boolean, or the part is unknown.
        """
        if part not in PARTS:
            raise MetricInputError(
                f"part is {part!r}; expected one of {', '.join(map(repr, PARTS))}: which part "
                "of a place's attribution counts."
            )
        given, masks = as_tuple(attributions), as_tuple(mask)
        if len(given) != len(masks):
            raise MetricInputError(
                f"There are {len(given)} attribution tensors and {len(masks)} masks; expected "
                "one mask for each."
            )
        pairs = [_matched(*pair) for pair in zip(given, masks, strict=True)]
        values = flattened(tuple(values for values, _ in pairs))
        return cls(PARTS[part](values), flattened(tuple(inside for _, inside in pairs)))

    def missing(self) -> list[str | None]:
        """For each example why it cannot be judged, or None."""
        finite, evidence = self.values.isfinite().all(1), self.inside.any(1)
        return [
            "the attributions are not finite"
            if not is_finite
            else (None if has_evidence else "the mask is empty: nobody knows a right place")
            for is_finite, has_evidence in zip(finite.tolist(), evidence.tolist(), strict=True)
        ]


def _matched(attributions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Both (batch, \\*places): the attributions summed as the mask says."""
    shape = attributions.shape
    if mask.dtype != torch.bool:
        raise MetricInputError(
            f"The mask has dtype {mask.dtype}; expected torch.bool, True where the evidence "
            "lies."
        )
    fits = mask.dim() == len(shape) and all(
        size in (1, full) for size, full in zip(mask.shape, shape, strict=True)
    )
    if not fits:
        raise MetricInputError(
            f"The mask has shape {tuple(mask.shape)}; expected the attributions' "
            f"{tuple(shape)}, or 1 in place of the batch and of dimensions that are summed "
            "(channels), because it says for every place whether the evidence lies there."
        )
    inside = mask.to(attributions.device).expand(len(attributions), *mask.shape[1:])
    return attributions.detach().double().sum_to_size(inside.shape), inside
