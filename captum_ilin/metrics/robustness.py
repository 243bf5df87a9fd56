"""Robustness: how far the attributions of a method move when the input barely does.

max ‖e(x) − e(x')‖ / ‖e(x)‖ over x' near x, with e(x) the attributions (Yeh 2019, Def. 3).

A map that ignores the network is the most robust of all: read this beside a faithfulness
metric and the reference rows, never alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from captum_ilin.metrics.chance import drawing_from, number_of
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.explaining import attributions_of
from captum_ilin.metrics.features import as_tuple
from captum_ilin.metrics.neighbours import Neighbours
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs

__all__ = ["max_sensitivity"]


def max_sensitivity(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    radius: float = 0.02,
    n_samples: int = 10,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """How far the attributions move at most near the input, relative to their length.

    max over x' of ‖e(x) − e(x')‖₂ / ‖e(x)‖₂, with x' uniform in the cube of half-side
    ``radius`` around x. Computed by ``captum.metrics.sensitivity_max``, on noise that is drawn
    from ``seed`` and is the same for every example. Where e(x) is zero throughout, Captum
    divides by 1: the value is then an absolute distance.

    Args:
        method: forward function → explainer, such as ``captum.attr.Saliency``.
        forward_func: what is explained.
        inputs: (batch, \\*features), floating-point, or a tuple of such tensors.
        target (optional): any of Captum's target forms.
        attribute_kwargs (optional): further arguments of ``attribute``.
        additional_forward_args (optional): further arguments of ``forward_func``.
        radius: the most that a value is moved by, in the inputs' units.
        n_samples: neighbours of each example.
        batch_size: rows attributed at once (at least one neighbour of each example).
        seed: an int, or a generator; of the noise, and of what the method itself draws.

    Returns:
        Scores: at least 0, lower is better; NaN where attributions are not finite.

    Raises:
        MetricInputError: integer inputs, no samples, or a radius of 0.

    Cost: 1 + n_samples attributions of each example.

    Source: Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, Def. 3.

    >>> import torch
    >>> from captum.attr import InputXGradient, Saliency
    >>> from captum_ilin.metrics import max_sensitivity
    >>> model, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    >>> max_sensitivity(Saliency, model, x, target=0).values.tolist()
    [0.0, 0.0, 0.0, 0.0]
    >>> bool((max_sensitivity(InputXGradient, model, x, target=0).values < 0.021).all())
    True
    """
    near = Neighbours(inputs, radius, n_samples, seed)

    examples = Examples(inputs, target, additional_forward_args, attribute_kwargs or {})

    def explain(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rows = torch.arange(near.batch).repeat_interleave(len(parts[0]) // near.batch)
        taken = examples.take(rows)
        found = attributions_of(
            method,
            forward_func,
            near.given(parts),
            target=taken.target,
            additional_forward_args=taken.additional_forward_args,
            attribute_kwargs=taken.attribute_kwargs,
        )
        return tuple(part.double() for part in found)

    at_once = min(max(batch_size // near.batch, 1), n_samples)
    with drawing_from(number_of(seed)):
        values = sensitivity_max(
            explain,
            near.parts,
            _moved_by(near),
            n_perturb_samples=n_samples,
            max_examples_per_batch=at_once * near.batch,
        )
    reason = "the attributions at the input or near it are not finite"
    finite = torch.where(values.isfinite(), values, torch.nan)
    return Scores.of("max-sensitivity", Direction.LOWER, finite, reason)


def _moved_by(near: Neighbours) -> Callable[[Inputs], tuple[Tensor, ...]]:
    """Captum's ``perturb_func``: the next samples of every example, each time it is called."""
    taken = 0

    def perturb(expanded: Inputs) -> tuple[Tensor, ...]:
        nonlocal taken
        parts = as_tuple(expanded)
        count = len(parts[0]) // near.batch
        shifts = near.shifts(taken, count)
        taken += count
        return tuple(part + shift for part, shift in zip(parts, shifts, strict=True))

    return perturb
