"""Which outputs of a map are kept, and where: targets in the order they are stored in.

A target is one index for each row. Captum has several forms for the same rows; they are kept
in the shortest, so that a target is found again in whatever form it is asked for.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.errors import TargetError
from captum_ilin.targets import select, target_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Rows = list[tuple[int, ...]]

__all__ = ["every_target", "form_of", "listed", "places"]


def form_of(target: Any, outputs: Tensor) -> Any:
    """The target as an int, a tuple for outputs of several dimensions, or a list of tuples.

    Raises:
        TargetError: it does not fit the outputs.
    """
    rows = _rows(target, outputs)
    if any(row != rows[0] for row in rows):
        return rows
    return rows[0][0] if len(rows[0]) == 1 else rows[0]


def every_target(outputs: Tensor) -> list[Any]:
    """A target for each output, in the order in which they are flattened."""
    indices = list(product(*map(range, outputs.shape[1:])))
    return [index[0] for index in indices] if outputs.dim() == 2 else list(indices)


def places(target: Any, kept: Sequence[Any] | None, outputs: Tensor) -> list[int]:
    """For each row, where its output is among those that are kept; None keeps every one.

    Raises:
        TargetError: it does not fit the outputs, or is not kept.
    """
    if kept is None:
        numbered = torch.arange(outputs[0].numel()).reshape(outputs.shape[1:])
        return [int(numbered[row]) for row in _rows(target, outputs)]
    form = form_of(target, outputs)
    if form not in kept:
        raise TargetError(
            f"The target {form} is not among those that were stored, {listed(kept)}. Ask for "
            "one of these, or store it too: StoredMap.of(affine_map, targets=[...])."
        )
    return [kept.index(form)] * len(outputs)


def listed(targets: Sequence[Any]) -> str:
    """The targets as a person reads them; of many the first and the last."""
    shown = [str(target) for target in targets]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", shown[-1]])


def _rows(target: Any, outputs: Tensor) -> Rows:
    """One index for each row, counted from the front."""
    select(outputs, target)  # raises what there is to say of a target that does not fit
    shape = outputs.shape[1:]
    if target is None:
        return [(0,) * len(shape)] * len(outputs)
    return [
        tuple(index % size for index, size in zip(row, shape, strict=True))
        for row in target_rows(target, len(outputs))
    ]
