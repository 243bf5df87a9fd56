"""``Differences``: what features contribute to F(x) − F(x'), averaged over baselines x'."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from captum_ilin.baselines import each_baseline
from captum_ilin.linearization import Comparison, between, leaves_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.ruletable import RuleTable

    Parts = tuple[Tensor, ...]

__all__ = ["Differences", "differences", "steps_times"]


class Differences(NamedTuple):
    """What each input feature contributes.

    Attributes:
        terms: W ∘ (x − x'), the mean over the baselines, a tensor for each input.
        weights: the mean W.
        baselines: x', each shaped like the inputs.
    """

    terms: Parts
    weights: Parts
    baselines: list[Parts]


def differences(
    forward_func: Callable[..., Any],
    points: Parts,
    baselines: Any,
    weights_of: Callable[..., Parts],
    *,
    target: Any,
    constants: tuple[Any, ...],
    rules: RuleTable,
    strict: bool,
) -> Differences:
    """The contributions at ``points``.

    Args:
        weights_of: W of a frozen forward function, as Captum's ``gradient_func`` gives it.

    Cost: two forward passes and one backward pass for each baseline.
    """
    found: list[Parts] = []
    compared = list(each_baseline(baselines, points))
    for before in compared:
        compare = partial(Comparison.at, before, forward_func, constants, rules, strict=strict)
        forward = between(forward_func, compare)
        weights = weights_of(forward, leaves_of(points), target, constants)
        found.append(tuple(weight.detach() for weight in weights))
    terms = [steps_times(w, points, before) for w, before in zip(found, compared, strict=True)]
    return Differences(_mean(terms), _mean(found), compared)


def steps_times(weights: Parts, points: Parts, before: Parts) -> Parts:
    """W ∘ (x − x')."""
    return tuple(
        weight * (point.detach() - baseline)
        for weight, point, baseline in zip(weights, points, before, strict=True)
    )


def _mean(several: list[Parts]) -> Parts:
    return tuple(torch.stack(parts).mean(0) for parts in zip(*several, strict=True))
