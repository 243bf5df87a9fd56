"""Relative stability: how much more the attributions of a method change than what they explain.

With x' near x, e(x) the attributions and h(x) the outputs (Agarwal 2022, equations 2 and 5):

    relative input stability   max ‖(e(x) − e(x')) / e(x)‖ / ‖(x − x') / x‖
    relative output stability  max ‖(e(x) − e(x')) / e(x)‖ / ‖h(x) − h(x')‖

A map that ignores the network is the most stable of all: read these beside a faithfulness
metric and the reference rows, never alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.chance import drawing_from, number_of
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.explaining import attributions_of
from captum_ilin.metrics.features import as_tuple, flattened
from captum_ilin.metrics.neighbours import Neighbours
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs

__all__ = ["relative_input_stability", "relative_output_stability"]


def relative_input_stability(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    radius: float = 0.02,
    n_samples: int = 10,
    floor: float = 1e-6,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """How much more the attributions change than the input, both relatively, as a logarithm.

    log max over x' of ‖(e(x) − e(x')) / e(x)‖₂ / ‖(x − x') / x‖₂, over the x' with the
    predicted class of x. A value that is 0 at x has no relative change: where e(x) or x is 0
    there, the norm leaves it out (Agarwal 2022 says nothing of it; dividing by a small number
    instead, as Quantus does, lets such values decide the score).

    Args:
        method, forward_func, inputs, target, attribute_kwargs: as for ``max_sensitivity``.
        additional_forward_args, radius, n_samples, seed: likewise.
        floor: both norms count as at least this.
        batch_size: rows that are attributed, or go through the network, at once.

    Returns:
        Scores: natural logarithms, lower is better; 0 where both change alike. Report
        medians: a maximum of quotients has heavy tails. NaN where every neighbour has
        another predicted class, or where e(x) or x is zero throughout.

    Raises:
        MetricInputError: integer inputs, no samples, or a radius of 0.

    Cost: 1 + n_samples attributions and as many forward rows of each example.

    Source: Agarwal et al. 2022, Rethinking Stability for Attribution-based Explanations,
    equation 2.

    >>> import torch
    >>> from captum.attr import InputXGradient
    >>> from captum_ilin.metrics import relative_input_stability
    >>> model, x = torch.nn.Linear(3, 2).double(), torch.ones(4, 3).double()
    >>> scores = relative_input_stability(InputXGradient, model, x, target=0, radius=1e-4)
    >>> bool((scores.values.abs() < 1e-8).all())  # of a linear model both change alike
    True
    """
    around = _Around(
        Neighbours(inputs, radius, n_samples, seed),
        Values(
            forward_func, len(as_tuple(inputs)[0]), None, additional_forward_args, batch_size
        ),
    )
    examples = Examples(inputs, target, additional_forward_args, attribute_kwargs or {})
    with drawing_from(number_of(seed)):
        moved = around.attributions_moved(method, examples)
    here = flattened(around.near.parts)

    def change(parts: tuple[Tensor, ...], examples: Tensor) -> Tensor:
        return _relative_change(here[examples], flattened(parts))

    inputs_moved = around.near.map(change, batch_size)
    reason = "the inputs are zero throughout or not finite, so they have no relative change"
    return around.scores("relative input stability", moved, inputs_moved, floor, reason)


def relative_output_stability(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    radius: float = 0.02,
    n_samples: int = 10,
    floor: float = 1e-6,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """How much the attributions change, relatively, for each unit the outputs change, as log.

    log max over x' of ‖(e(x) − e(x')) / e(x)‖₂ / ‖h(x) − h(x')‖₂, over the x' with the
    predicted class of x; h is all that ``forward_func`` returns. Values with e(x) = 0 are left
    out of the norm, see ``relative_input_stability``.

    Args:
        method, forward_func, inputs, target: as for ``relative_input_stability``.
        attribute_kwargs, additional_forward_args, radius, n_samples: likewise.
        floor, batch_size, seed: likewise.

    Returns:
        Scores: natural logarithms, lower is better. It has the unit of 1/h: compare methods
        on one network, not networks. Report medians. NaN where every neighbour has another
        predicted class, or where e(x) is zero throughout.

    Raises:
        MetricInputError: integer inputs, no samples, or a radius of 0.

    Cost: 1 + n_samples attributions and as many forward rows of each example.

    Source: Agarwal et al. 2022, equation 5.

    >>> import torch
    >>> from captum.attr import Saliency
    >>> from captum_ilin.metrics import relative_output_stability
    >>> model, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    >>> relative_output_stability(Saliency, model, x, target=0, floor=1e-6).mean() < 0
    True
    """
    around = _Around(
        Neighbours(inputs, radius, n_samples, seed),
        Values(
            forward_func, len(as_tuple(inputs)[0]), None, additional_forward_args, batch_size
        ),
    )
    examples = Examples(inputs, target, additional_forward_args, attribute_kwargs or {})
    with drawing_from(number_of(seed)):
        moved = around.attributions_moved(method, examples)
    outputs_moved = (around.there - around.here).norm(dim=2)
    reason = "an output is not finite"
    return around.scores("relative output stability", moved, outputs_moved, floor, reason)


class _Around:
    """Attributions and outputs at the examples, and at their neighbours."""

    def __init__(self, near: Neighbours, values: Values) -> None:
        self.near, self.values = near, values
        self.every = torch.arange(near.batch, device=near.examples.device)

        def outputs(parts: tuple[Tensor, ...], examples: Tensor) -> Tensor:
            return values.outputs(parts, examples).reshape(len(examples), -1)

        self.here = outputs(near.parts, self.every)[:, None]
        self.there = near.map(outputs, values.batch_size)
        self.same_class = self.here.argmax(2) == self.there.argmax(2)

    def attributions_moved(self, method: Method, examples: Examples) -> Tensor:
        """(batch, n_samples): ‖(e(x) − e(x')) / e(x)‖."""
        near = self.near

        def attributed(parts: tuple[Tensor, ...], rows: Tensor) -> Tensor:
            taken = examples.take(rows)
            found = attributions_of(
                method,
                self.values.forward_func,
                near.given(parts),
                target=taken.target,
                additional_forward_args=taken.additional_forward_args,
                attribute_kwargs=taken.attribute_kwargs,
            )
            return flattened(found)

        here = torch.cat(
            [
                attributed(tuple(part[rows] for part in near.parts), rows)
                for rows in self.every.split(self.values.batch_size)
            ]
        )

        def change(parts: tuple[Tensor, ...], rows: Tensor) -> Tensor:
            return _relative_change(here[rows], attributed(parts, rows))

        return near.map(change, self.values.batch_size)

    def scores(
        self, metric: str, moved: Tensor, by: Tensor, floor: float, unmoved: str
    ) -> Scores:
        """log max of the quotients over the neighbours that count."""
        quotients = (moved.clamp(min=floor) / by.clamp(min=floor)).log()
        counting = quotients.masked_fill(~self.same_class, -torch.inf).max(1).values
        reasons = [
            _reason(attributions, other, any_left, unmoved)
            for attributions, other, any_left in zip(
                (moved.isnan() & self.same_class).any(1).tolist(),
                (~by.isfinite() & self.same_class).any(1).tolist(),
                self.same_class.any(1).tolist(),
                strict=True,
            )
        ]
        missing = torch.tensor([reason is not None for reason in reasons])
        found = counting.cpu().masked_fill(missing, torch.nan)
        return Scores.of(f"{metric} (log)", Direction.LOWER, found, reasons)


def _reason(attributions: bool, other: bool, any_left: bool, unmoved: str) -> str | None:
    if attributions:
        return (
            "the attributions are zero throughout or not finite, so they have no relative "
            "change"
        )
    if other:
        return unmoved
    return None if any_left else "every neighbour has another predicted class"


def _relative_change(here: Tensor, there: Tensor) -> Tensor:
    """(rows,) float64: ‖(there − here) / here‖ over the values that are not 0; NaN if all are.

    Args:
        here, there: (rows, size)
    """
    here, there = here.double(), there.double()
    zero = here == 0
    change = (there - here) / torch.where(zero, 1.0, here)
    norms = change.masked_fill(zero, 0.0).norm(dim=1)
    undefined = zero.all(1) | ~norms.isfinite()
    return norms.masked_fill(undefined, torch.nan)
