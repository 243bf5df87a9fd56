"""``Examples``: inputs with all that goes with each of them, taken row by row.

Targets, additional forward arguments and arguments of ``attribute`` that have one entry for
each example follow their example; everything else is handed on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.chance import drawing_from
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.explaining import attributions_of
from captum_ilin.metrics.features import as_tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs

__all__ = ["Examples"]


@dataclass(frozen=True)
class Examples:
    """What is explained.

    Attributes:
        inputs: (batch, \\*features), or a tuple of such tensors.
        target: any of Captum's target forms.
        additional_forward_args: as Captum's.
        attribute_kwargs: further arguments of ``attribute``.
    """

    inputs: Inputs
    target: Any = None
    additional_forward_args: Any = None
    attribute_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(as_tuple(self.inputs)[0])

    def take(self, rows: Tensor) -> Examples:
        """The examples with these numbers, in this order, repeated where they repeat."""
        batch = len(self)
        return Examples(
            _taken(self.inputs, rows, batch),
            _taken(self.target, rows, batch),
            _taken(self.additional_forward_args, rows, batch),
            {name: _taken(value, rows, batch) for name, value in self.attribute_kwargs.items()},
        )

    def chunks(self, batch_size: int) -> Iterator[Examples]:
        """Successive examples, ``batch_size`` at a time."""
        if batch_size < 1:
            raise MetricInputError(f"batch_size: expected 1 or more, got {batch_size}.")
        for rows in torch.arange(len(self)).split(batch_size):
            yield self.take(rows)

    def attributions(
        self, method: Method, forward_func: Callable[..., Any], seed: int
    ) -> tuple[Tensor, ...]:
        """The method's attributions; what it draws at random, it draws from the seed."""
        with drawing_from(seed):
            return attributions_of(
                method,
                forward_func,
                self.inputs,
                target=self.target,
                additional_forward_args=self.additional_forward_args,
                attribute_kwargs=self.attribute_kwargs,
            )


def _taken(value: Any, rows: Tensor, batch: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_taken(part, rows, batch) for part in value)
    if isinstance(value, list) and len(value) == batch:
        return [value[row] for row in rows.tolist()]
    if isinstance(value, Tensor) and value.dim() and len(value) == batch:
        return value[rows.to(value.device)]
    return value
