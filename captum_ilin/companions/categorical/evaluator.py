"""``Evaluator``: a forward function, or a layer of it, at patterns, batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.cut import Cut
from captum_ilin.targets import select, target_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.companions.categorical.groups import Groups

__all__ = ["Evaluator", "class_gauge"]

BATCH, BYTES = 8192, 2**25  # patterns run together at most, and what they take as inputs
PROBED = 4  # patterns


def class_gauge(logits: Tensor) -> Tensor:
    """Logits less their mean over the classes, which no probability depends on.

    Args:
        logits: (batch, \\*, classes), or any term of their expansion.

    Returns:
        Shaped alike; the sum over the last dimension is 0.

    >>> class_gauge(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[-2., -1.,  3.]])
    """
    return logits - logits.mean(-1, keepdim=True)


@dataclass(frozen=True)
class Evaluator:
    """F at patterns, in float64 on the CPU, without a graph.

    Attributes:
        forward_func: takes (batch, \\*shape), gives one tensor of as many rows.
        groups: of its input.
        held: (1, \\*shape), what the features outside the groups are; its dtype and device
            are the inputs'.
        layer: the module whose output is meant rather than the function's, or None.
        target: Captum's target forms for one example; None for every output.
        is_in_class_gauge: whether the mean of the last dimension is subtracted.
        batch_size: patterns run together.
    """

    forward_func: Callable[..., Any]
    groups: Groups
    held: Tensor
    layer: nn.Module | None
    target: Any
    is_in_class_gauge: bool
    batch_size: int

    @torch.no_grad()
    def __call__(self, codes: Tensor) -> Tensor:
        """F at patterns given as codes, (patterns, L) → (patterns, \\*out)."""
        parts = codes.split(self.batch_size)
        return torch.cat([self._outputs(self.groups.encode(part, self.held)) for part in parts])

    def _outputs(self, inputs: Tensor) -> Tensor:
        found = self._run(inputs)
        if not isinstance(found, Tensor) or found.dim() < 1 or len(found) != len(inputs):
            shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise CompanionInputError(
                f"{self._what} must be one tensor with a row for each of the {len(inputs)} "
                f"patterns, but got {shown}. Wrap the function so that it returns one."
            )
        found = found.detach()
        if self.is_in_class_gauge:
            found = class_gauge(found)
        if self.target is not None:
            found = self._chosen(found)
        return self._finite(found.to("cpu", torch.float64))

    def _chosen(self, found: Tensor) -> Tensor:
        """One output of every pattern; checked for one, because ``select`` checks each row."""
        select(found[:1], self.target)
        (index,) = target_rows(self.target, 1)
        place: tuple[slice | int, ...] = (slice(None), *index)
        return found[place]

    @property
    def _what(self) -> str:
        return "The forward function's output" if self.layer is None else "The layer's output"

    def _run(self, inputs: Tensor) -> Any:
        if self.layer is None:
            return self.forward_func(inputs)
        values: list[Any] = []
        with Cut(self.layer).visited(values.append):
            self.forward_func(inputs)
        if len(values) != 1:
            raise CompanionInputError(
                f"The layer ran {len(values)} times in a forward pass; expected once. Wrap "
                "the model in a function that returns the call you mean."
            )
        return values[0]

    def _finite(self, found: Tensor) -> Tensor:
        if wrong := int((~found.isfinite()).sum()):
            raise CompanionInputError(
                f"{self._what} has {wrong} values that are NaN or infinite; averages over "
                "patterns need finite ones. Find the pattern whose output they are, or expand "
                "logits instead of their logarithms."
            )
        return found

    def check_repeats(self, generator: torch.Generator) -> Tensor:
        """F at some patterns, if it depends on the pattern and on nothing else.

        Raises:
            CompanionInputError: the same pattern gives another output beside other patterns.
        """
        counts = torch.tensor(self.groups.counts)
        drawn = torch.rand(PROBED, len(counts), generator=generator, dtype=torch.float64)
        codes = (drawn * counts).long()
        together = self(codes)
        apart = torch.cat([self(pair) for pair in codes.split(2)])
        scale = float(together.abs().max())
        error = float((together - apart).abs().max())
        if error > math.sqrt(_rounding(self.held.dtype)) * scale:
            raise CompanionInputError(
                f"{self._what} at the same pattern differs by {error:.2g} between two runs, so "
                "it depends on more than the groups: on chance, or on the other rows of the "
                "batch. Put the model into evaluation mode, or fix what it draws."
            )
        return together


def _rounding(dtype: torch.dtype) -> float:
    """A unit of rounding, single precision's at least: a network may compute in that inside."""
    return max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)


def batch_size_for(held: Tensor) -> int:
    """How many patterns to run together unless told."""
    return max(1, min(BATCH, BYTES // (held.numel() * held.element_size())))
