"""``Values``: F_t of perturbed rows, in batches, each row with its own example's target.

Metrics perturb one example many times. A row is told by the example it came from, and takes
that example's target and additional arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.training import unchanged, warn_of_training
from captum_ilin.targets import select, target_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from captum_ilin.metrics.features import Inputs

__all__ = ["Values"]


class Values:
    """The explained output of rows.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (rows, \\*out).
        batch: how many examples there are.
        target: any of Captum's target forms, for the batch.
        additional_forward_args: further arguments; tensors with batch rows go by example.
        batch_size: rows that go through the network at once.

    Attributes:
        eps: unit of rounding of the coarsest type that went in or came out so far.
        largest: (batch,) the largest |output| of each example's rows so far, of any target.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        batch: int,
        target: Any = None,
        additional_forward_args: Any = None,
        batch_size: int = 64,
    ) -> None:
        if batch_size < 1:
            raise MetricInputError(f"batch_size is {batch_size}; expected 1 or more.")
        if batch < 1:
            raise MetricInputError("The inputs hold no example; expected 1 or more.")
        self.forward_func = forward_func
        self.targets = None if target is None else target_rows(target, batch)
        self.constants = _as_tuple(additional_forward_args)
        self.batch = batch
        self.batch_size = batch_size
        self.eps = torch.finfo(torch.float64).eps
        self.largest = torch.zeros(batch, dtype=torch.float64)
        warn_of_training(forward_func)

    @torch.no_grad()
    def __call__(self, inputs: Inputs, examples: Tensor) -> Tensor:
        """(rows,) float64: F_t of each row.

        Args:
            inputs: (rows, \\*features), or a tuple of such tensors.
            examples: (rows,) the example that each row came from.
        """
        with unchanged(self.forward_func):
            return torch.cat(
                [
                    select(outputs, self.targets_of(rows))
                    for outputs, rows in self._chunks(inputs, examples)
                ]
            )

    @torch.no_grad()
    def outputs(self, inputs: Inputs, examples: Tensor) -> Tensor:
        """(rows, \\*out) float64: all outputs of each row; arguments as for a call."""
        with unchanged(self.forward_func):
            return torch.cat([outputs for outputs, _ in self._chunks(inputs, examples)])

    def of(self, inputs: Inputs) -> Tensor:
        """(batch,) float64: F_t of the examples themselves, or of one row for each."""
        device = (inputs[0] if isinstance(inputs, tuple) else inputs).device
        return self(inputs, torch.arange(self.batch, device=device))

    @property
    def rounding(self) -> Tensor:
        """(batch,) by how much F of equal inputs may differ, between batches for one.

        16 units of rounding of the largest output, because an output near 0 is a difference
        of numbers as large as the others.
        """
        return 16 * self.eps * self.largest

    def unmoved(self, outputs: Tensor) -> Tensor:
        """(batch,) bool: whether outputs of (batch, points) differ by no more than rounding."""
        return outputs.amax(1) - outputs.amin(1) <= self.rounding

    def _chunks(self, inputs: Inputs, examples: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Outputs of some rows at a time, in float64, and the examples of those rows."""
        parts = inputs if isinstance(inputs, tuple) else (inputs,)
        every = torch.arange(len(examples), device=examples.device)
        for rows in every.split(self.batch_size):
            chosen = tuple(part[rows] for part in parts)
            constants = self.constants_of(examples[rows])
            outputs = _checked(self.forward_func(*chosen, *constants), len(rows))
            self.eps = max(self.eps, *map(_eps, (*chosen, outputs)))
            self._note(outputs.double(), examples[rows])
            yield outputs.double(), examples[rows]

    def _note(self, outputs: Tensor, examples: Tensor) -> None:
        finite = outputs.where(outputs.isfinite(), 0.0).abs().reshape(len(outputs), -1)
        self.largest = self.largest.to(outputs.device).scatter_reduce(
            0, examples.to(outputs.device), finite.amax(1), "amax"
        )

    def targets_of(self, examples: Tensor) -> list[tuple[int, ...]] | None:
        """Each row's target; None if there is only one output."""
        return self.targets and [self.targets[example] for example in examples.tolist()]

    def constants_of(self, examples: Tensor) -> tuple[Any, ...]:
        """The additional arguments of rows that come from these examples."""
        return tuple(self._of_examples(constant, examples) for constant in self.constants)

    def _of_examples(self, constant: Any, examples: Tensor) -> Any:
        """A tensor with one row for each example, row by row; anything else as it is."""
        by_example = (
            isinstance(constant, Tensor) and constant.dim() and len(constant) == self.batch
        )
        return constant[examples] if by_example else constant


def _checked(outputs: Any, rows: int) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise MetricInputError(
            f"forward_func returned a {type(outputs).__name__}; expected a tensor, (rows, …), "
            "one of whose values is explained. Wrap it: lambda *inputs: model(*inputs)[0]."
        )
    if outputs.shape[:1] != (rows,):
        raise MetricInputError(
            f"forward_func returned shape {tuple(outputs.shape)} for {rows} rows; expected "
            f"({rows}, …), because a metric is a number for each example."
        )
    return outputs


def _eps(tensor: Tensor) -> float:
    return torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 0.0


def _as_tuple(constants: Any) -> tuple[Any, ...]:
    if constants is None:
        return ()
    return constants if isinstance(constants, tuple) else (constants,)
