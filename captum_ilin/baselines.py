"""``Baselines``: the points that inputs are compared with, in all of Captum's forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.checks import input_name
from captum_ilin.errors import BaselineError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["baselines_for", "each_baseline"]


def baselines_for(baselines: Any, points: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A baseline for each input, shaped like it.

    Args:
        baselines: a number, or a tensor of one example or of as many as the inputs have; a
            tuple of these for a tuple of inputs, None in it for zeros.

    Raises:
        BaselineError: none of these.
    """
    given = baselines if isinstance(baselines, tuple) else (baselines,)
    if len(given) != len(points):
        raise BaselineError(
            f"There are {len(points)} inputs but {len(given)} baselines. Pass one for each: "
            "a tuple of numbers, tensors, or None for zeros."
        )
    return tuple(
        _shaped(baseline, point, input_name(position, points))
        for position, (baseline, point) in enumerate(zip(given, points, strict=True))
    )


def each_baseline(baselines: Any, points: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """The baselines of a distribution, one after another, each shaped like the inputs.

    One dimension more than the inputs counts them, (baselines, batch or 1, \\*features); in a
    tuple every tensor has it, or none.
    """
    given = baselines if isinstance(baselines, tuple) else (baselines,)
    counts = {
        len(baseline)
        for baseline, point in zip(given, points, strict=False)
        if isinstance(baseline, Tensor) and baseline.dim() == point.dim() + 1
    }
    if not counts:
        yield baselines_for(baselines, points)
        return
    if len(counts) > 1 or 0 in counts:
        raise BaselineError(
            f"The tuple holds distributions of {sorted(counts)} baselines. Pass as many, and "
            "at least one, for each input."
        )
    for number in range(counts.pop()):
        one = tuple(
            baseline[number]
            if isinstance(baseline, Tensor) and baseline.dim() == point.dim() + 1
            else baseline
            for baseline, point in zip(given, points, strict=False)
        )
        yield baselines_for(one, points)


def _shaped(baseline: Any, point: Tensor, name: str) -> Tensor:
    if baseline is None:
        return torch.zeros_like(point.detach())
    if isinstance(baseline, (int, float)) and not isinstance(baseline, bool):
        baseline = point.new_full((), baseline)
    elif not isinstance(baseline, Tensor):
        raise BaselineError(
            f"The baseline of {name} has type {type(baseline).__name__}; expected a number, a "
            "tensor, or None for zeros."
        )
    elif baseline.shape not in (point.shape, (1, *point.shape[1:])):
        raise BaselineError(
            f"The baseline of {name} has shape {tuple(baseline.shape)}; expected that of the "
            f"input, {tuple(point.shape)}, or of one example, {(1, *point.shape[1:])}. A "
            f"distribution has a dimension in front: `baselines[:, None]` is one for all "
            "examples each."
        )
    elif baseline.dtype != point.dtype or baseline.device != point.device:
        raise BaselineError(
            f"The baseline of {name} is {baseline.dtype} on {baseline.device}, but the input "
            f"is {point.dtype} on {point.device}. Convert it: `baseline.to(inputs)`."
        )
    if not torch.isfinite(baseline).all():
        raise BaselineError(
            f"The baseline of {name} holds values that are not finite, so there is no "
            "difference to explain. Replace them."
        )
    return baseline.detach().expand(point.shape)
