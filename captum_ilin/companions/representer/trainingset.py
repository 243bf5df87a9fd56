"""``TrainingSet``: what a model's head is given for every training example, read in one pass.

Features stay in the precision the model gives them in, in blocks on the CPU: 50,000 × 4096 in
float32 are 0.8 GB. Each block becomes float64 for the moment it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_ilin.companions.batches import as_inputs, check_repeats, split_batch
from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.head import Head, find_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.utils.data import DataLoader

__all__ = ["TrainingSet", "read_training_set"]

BLOCK = 2**20  # numbers of a block: 8 MiB in float64, which a processor's cache holds
ROWS = 4096  # of a block, at most


@dataclass(frozen=True)
class TrainingSet:
    """Features, logits and labels of all training examples.

    Attributes:
        blocks: the features, (rows, width) each, in the order of the examples.
        logits: (n, classes), the model's own.
        labels: (n,), or None where the loader gives none.
        has_bias: whether a feature 1 is counted after the others.
    """

    blocks: tuple[Tensor, ...]
    logits: Tensor
    labels: Tensor | None
    has_bias: bool

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def width(self) -> int:
        """Features, the constant one included."""
        return int(self.blocks[0].shape[1]) + self.has_bias

    def portions(self) -> Iterator[tuple[slice, Tensor]]:
        """Which examples, and their features in float64, without the constant one."""
        start = 0
        for block in self.blocks:
            yield slice(start, start + len(block)), block.double()
            start += len(block)

    def scores(self, features: Tensor, weight: Tensor) -> Tensor:
        """Θ f for each row of ``features``, which are without the constant one."""
        if not self.has_bias:
            return features @ weight.T
        return torch.addmm(weight[:, -1], features, weight[:, :-1].T)

    def sums(self, coefficients: Tensor, features: Tensor) -> Tensor:
        """Σ_i coefficients_i f_iᵀ, (classes, width)."""
        found = coefficients.T @ features
        if not self.has_bias:
            return found
        return torch.cat([found, coefficients.sum(0)[:, None]], 1)

    def products(self, one: Tensor, other: Tensor) -> Tensor:
        """f_iᵀ f_t for every row of the one and of the other, the constant feature counted."""
        return one @ other.T + float(self.has_bias)

    def features(self, examples: Tensor) -> Tensor:
        """Of some examples, (examples, features), in float64, without the constant one."""
        size = len(self.blocks[0])
        rows = [self.blocks[at // size][at % size] for at in examples.tolist()]
        return torch.stack(rows).double()

    def labels_below(self, classes: int) -> Tensor:
        """The labels, (n,), which are needed.

        Raises:
            CompanionInputError: there are none, or some that no class has.
        """
        if self.labels is None:
            raise CompanionInputError(
                "The loader gives no labels that are whole numbers, one for each example, and "
                "they are needed here. Give batches as tuples "
                "whose last element holds whole numbers, (batch,), the class of each example."
            )
        wrong = ((self.labels < 0) | (self.labels >= classes)).nonzero()
        if len(wrong):
            at = int(wrong[0])
            raise CompanionInputError(
                f"Labels must be from 0 to {classes - 1}, because the head has {classes} "
                f"outputs, but training example {at} has the label {int(self.labels[at])}."
            )
        return self.labels


def read_training_set(
    model: nn.Module,
    loader: DataLoader[Any],
    head: nn.Module | str | None,
    *,
    show_progress: bool,
) -> tuple[Head, TrainingSet]:
    """Run the model once over the loader; the head is found on the first batch.

    Raises:
        CompanionInputError: see `RepresenterPoints`.
    """
    with torch.random.fork_rng(devices=[]):  # a loader draws a seed whenever it starts
        return _read(model, loader, head, show_progress=show_progress)


def _read(
    model: nn.Module,
    loader: DataLoader[Any],
    head: nn.Module | str | None,
    *,
    show_progress: bool,
) -> tuple[Head, TrainingSet]:
    found: Head | None = None
    rows, logits, labels = _Rows(), [], []
    for batch in tqdm(loader, "features", disable=not show_progress):
        inputs, label = split_batch(batch)
        inputs = as_inputs(inputs, found, model)
        if found is None:
            found = find_head(model, inputs, head)
            check_repeats(found, inputs)
        features, outputs = found.read(inputs)
        _check_finite(features, outputs, len(rows))
        rows.add(_kept(features))
        logits.append(_kept(outputs).clone())
        labels.append(label)
    if found is None or not len(rows):
        raise CompanionInputError(
            "The loader gives no batch: there are no training examples to vote. Pass a loader "
            "or a dataset that holds some."
        )
    return found, TrainingSet(rows.blocks(), torch.cat(logits), _labels(labels), found.has_bias)


def _kept(values: Tensor) -> Tensor:
    """On the CPU, without half precision."""
    is_half = values.dtype in (torch.float16, torch.bfloat16)
    return (values.float() if is_half else values).cpu()


class _Rows:
    """Batches of features, copied to blocks of equal numbers of rows."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._filled = 0  # rows of the last block

    def __len__(self) -> int:
        return sum(map(len, self._blocks[:-1])) + self._filled

    def add(self, rows: Tensor) -> None:
        size = min(ROWS, max(1, BLOCK // max(rows.shape[1], 1)))
        while len(rows):
            if not self._blocks or self._filled == size:
                self._blocks.append(rows.new_empty(size, rows.shape[1]))
                self._filled = 0
            fitting = rows[: size - self._filled]
            self._blocks[-1][self._filled : self._filled + len(fitting)] = fitting
            self._filled += len(fitting)
            rows = rows[len(fitting) :]

    def blocks(self) -> tuple[Tensor, ...]:
        return (*self._blocks[:-1], self._blocks[-1][: self._filled].clone())


def _check_finite(features: Tensor, outputs: Tensor, start: int) -> None:
    for name, values in (("features", features), ("logits", outputs)):
        broken = (~torch.isfinite(values)).any(1).nonzero()
        if len(broken):
            raise CompanionInputError(
                f"The {name} of training example {start + int(broken[0])} are NaN or infinite, "
                "and so would be every vote. Leave the example out, or run the model in a "
                "wider precision."
            )


def _labels(batches: list[Any]) -> Tensor | None:
    """(n,), or None where they are missing or no whole numbers."""
    for labels in batches:
        if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point():
            return None
    return torch.cat(batches).long().cpu()
