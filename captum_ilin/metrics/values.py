"""``Values``: F_t of perturbed rows, in batches, each row with its own example's target.

Metrics perturb one example many times. A row is told by the example it came from, and takes
that example's target and additional arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError
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

    @torch.no_grad()
    def __call__(self, inputs: Inputs, examples: Tensor) -> Tensor:
        """(rows,) float64: F_t of each row.

        Args:
            inputs: (rows, \\*features), or a tuple of such tensors.
            examples: (rows,) the example that each row came from.
        """
        return torch.cat(
            [
                select(outputs, self.targets_of(rows))
                for outputs, rows in self._chunks(inputs, examples)
            ]
        )

    @torch.no_grad()
    def outputs(self, inputs: Inputs, examples: Tensor) -> Tensor:
        """(rows, \\*out) float64: all outputs of each row; arguments as for a call."""
        return torch.cat([outputs for outputs, _ in self._chunks(inputs, examples)])

    def of(self, inputs: Inputs) -> Tensor:
        """(batch,) float64: F_t of the examples themselves, or of one row for each."""
        device = (inputs[0] if isinstance(inputs, tuple) else inputs).device
        return self(inputs, torch.arange(self.batch, device=device))

    def _chunks(self, inputs: Inputs, examples: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Outputs of some rows at a time, in float64, and the examples of those rows."""
        parts = inputs if isinstance(inputs, tuple) else (inputs,)
        every = torch.arange(len(examples), device=examples.device)
        for rows in every.split(self.batch_size):
            chosen = tuple(part[rows] for part in parts)
            constants = self.constants_of(examples[rows])
            yield self.forward_func(*chosen, *constants).double(), examples[rows]

    def targets_of(self, examples: Tensor) -> list[tuple[int, ...]] | None:
        """Each row's target; None if there is only one output."""
        return self.targets and [self.targets[example] for example in examples.tolist()]

    def constants_of(self, examples: Tensor) -> tuple[Any, ...]:
        """The additional arguments of rows that come from these examples."""
        return tuple(self.of_examples(constant, examples) for constant in self.constants)

    def of_examples(self, constant: Any, examples: Tensor) -> Any:
        """A tensor with one row for each example, row by row; anything else as it is."""
        by_example = (
            isinstance(constant, Tensor) and constant.dim() and len(constant) == self.batch
        )
        return constant[examples] if by_example else constant


def _as_tuple(constants: Any) -> tuple[Any, ...]:
    if constants is None:
        return ()
    return constants if isinstance(constants, tuple) else (constants,)
