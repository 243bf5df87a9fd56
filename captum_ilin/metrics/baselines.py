"""Baselines x': what stands for "the feature is not there"."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import as_tuple

if TYPE_CHECKING:
    from captum_ilin.metrics.features import Inputs

__all__ = ["Baselines", "baselines_of"]

Baselines: TypeAlias = "Tensor | float | tuple[Tensor | float, ...] | None"


def baselines_of(inputs: Inputs, baselines: Baselines) -> tuple[Tensor, ...]:
    """Captum's baseline forms as one tensor for each input.

    Args:
        inputs: (batch, \\*features), or a tuple of such tensors.
        baselines: None (zero), a number, a tensor shaped like the inputs (or with 1 in place
            of batch), or a tuple of these.

    Returns:
        A tuple of (1 or batch, \\*features); all have batch rows as soon as one has.

    Raises:
        MetricInputError: a baseline does not fit its input.
    """
    parts = as_tuple(inputs)
    given = baselines if isinstance(baselines, tuple) else (baselines,) * len(parts)
    if len(given) != len(parts):
        raise MetricInputError(
            f"There are {len(given)} baselines for {len(parts)} inputs; pass one for each."
        )
    found = [_baseline(part, base) for part, base in zip(parts, given, strict=True)]
    rows = max(len(base) for base in found)
    return tuple(base.expand(rows, *base.shape[1:]) for base in found)


def _baseline(part: Tensor, base: Tensor | float | None) -> Tensor:
    if not isinstance(base, Tensor):
        return torch.full_like(part[:1], 0.0 if base is None else base).detach()
    if base.shape[1:] != part.shape[1:] or len(base) not in (1, len(part)):
        raise MetricInputError(
            f"A baseline has shape {tuple(base.shape)}, its input {tuple(part.shape)}; "
            "expected the input's shape, or 1 in place of the batch."
        )
    return base.detach().to(part)
