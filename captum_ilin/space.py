"""``Space``: where the vectors live that an operator takes and gives.

A vector is shaped like the inputs, or like the outputs, of the network: a tensor, or a tuple
of tensors where the network takes several inputs. Dimensions in front count vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.errors import OperandError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """Vectors with the shapes, dtypes and devices of ``patterns``.

    Attributes:
        name: what the vectors are shaped like, for messages.
        patterns: a tensor of the right shape for each part of a vector; values do not matter.
        is_tuple: whether a vector is a tuple of its parts, or its only part.
    """

    name: str
    patterns: tuple[Tensor, ...]
    is_tuple: bool = False

    def __str__(self) -> str:
        return f"{self.name} {', '.join(str(tuple(part.shape)) for part in self.patterns)}"

    def split(self, vectors: Any) -> tuple[torch.Size, list[tuple[Tensor, ...]]]:
        """The dimensions that count vectors, and each vector's parts.

        Raises:
            OperandError: not vectors of this space.
        """
        parts = vectors if isinstance(vectors, tuple) else (vectors,)
        if isinstance(vectors, tuple) != self.is_tuple or len(parts) != len(self.patterns):
            raise OperandError(
                f"{self._expected()}, but got {_kind(vectors)}. {self._advice()}"
            )
        counts = [
            self._count(part, pattern)
            for part, pattern in zip(parts, self.patterns, strict=True)
        ]
        if any(count != counts[0] for count in counts):
            raise OperandError(
                f"{self._expected()}, but the parts of the tuple hold different numbers of "
                f"vectors, {[tuple(count) for count in counts]}. {self._advice()}"
            )
        rows = [
            part.detach().reshape(-1, *pattern.shape).unbind()
            for part, pattern in zip(parts, self.patterns, strict=True)
        ]
        return counts[0], list(zip(*rows, strict=True))

    def join(
        self, count: torch.Size, vectors: Sequence[tuple[Tensor, ...]]
    ) -> Tensor | tuple[Tensor, ...]:
        """The vectors with the dimensions that count them in front."""
        columns = zip(*vectors, strict=True) if vectors else ((),) * len(self.patterns)
        parts = tuple(
            torch.stack(column).reshape((*count, *pattern.shape))
            if column
            else pattern.new_empty((*count, *pattern.shape))
            for column, pattern in zip(columns, self.patterns, strict=True)
        )
        return parts if self.is_tuple else parts[0]

    def own(self, parts: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """One vector, of these parts, in a memory of its own."""
        copies = tuple(part.clone() for part in parts)
        return copies if self.is_tuple else copies[0]

    def _count(self, part: Any, pattern: Tensor) -> torch.Size:
        if not isinstance(part, Tensor):
            raise OperandError(f"{self._expected()}, but got {_kind(part)}. {self._advice()}")
        leading = part.dim() - pattern.dim()
        if leading < 0 or part.shape[leading:] != pattern.shape:
            raise OperandError(
                f"{self._expected()}, but got shape {tuple(part.shape)}. {self._advice()}"
            )
        if part.dtype != pattern.dtype or part.device != pattern.device:
            raise OperandError(
                f"{self._expected()}, in {pattern.dtype} on {pattern.device}, but got "
                f"{part.dtype} on {part.device}. Convert it: `vector.to(dtype, device)`."
            )
        return part.shape[:leading]

    def _expected(self) -> str:
        shapes = ", ".join(str(tuple(part.shape)) for part in self.patterns)
        what = f"a tuple of tensors of shapes {shapes}" if self.is_tuple else f"shape {shapes}"
        return f"The operand must be shaped like the {self.name}, {what}"

    def _advice(self) -> str:
        return "Further dimensions, which count vectors, go in front."


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
