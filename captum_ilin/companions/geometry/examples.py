"""Batches of labelled examples, from a loader, a dataset or tensors, in the order they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from tqdm.auto import tqdm

from captum_ilin.companions.batches import as_inputs, loader_of, split_batch
from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.head import check_logits

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Batch",
    "batches_of",
    "check_evaluating",
    "check_labels",
    "check_model",
    "missing_examples",
]


class Batch(NamedTuple):
    """The model's arguments, the labels, (batch,), and the number of the first example."""

    inputs: tuple[Any, ...]
    labels: Tensor
    start: int


def check_model(model: Any) -> None:
    """Raise for what has no modules."""
    if not isinstance(model, nn.Module):
        raise CompanionInputError(
            f"The model must be an nn.Module, but got a {type(model).__name__}. Pass the "
            "module, not a function that calls it."
        )


def check_evaluating(model: nn.Module) -> None:
    """Raise for layers that make an example's outputs depend on chance or on its batch."""
    modules = nn.modules
    for path, module in model.named_modules():
        depends = isinstance(module, (modules.batchnorm._BatchNorm, modules.dropout._DropoutNd))
        if depends and module.training:
            raise CompanionInputError(
                f"The {type(module).__name__} {path!r} is in training mode, so that an example "
                "has not one map: it depends on chance or on the batch. Call model.eval() "
                "first."
            )


def batches_of(
    model: nn.Module, data: Any, *, batch_size: int, name: str, show_progress: bool
) -> Iterator[Batch]:
    """One batch after another, on the model's device.

    A loader draws a seed whenever it starts: call it where the random state is kept.

    Args:
        model: the model.
        data: a loader that does not shuffle, a dataset, or a tuple of tensors, labels last.
        batch_size: of the loader that is made of a dataset or of tensors.
        name: of the progress bar.
        show_progress: whether there is one.

    Raises:
        CompanionInputError: see `feature_geometry`.
    """
    loader = loader_of(_dataset(data), batch_size)
    start = 0
    for batch in tqdm(loader, name, disable=not show_progress):
        inputs, labels = split_batch(batch)
        checked = _whole_numbers(labels, start)
        yield Batch(as_inputs(inputs, None, model), checked, start)
        start += len(checked)


def check_labels(batch: Batch, outputs: Any) -> None:
    """Raise unless the outputs are logits of two classes or more, and each label has one."""
    check_logits(outputs)
    count, classes = outputs.shape
    if classes < 2:
        raise CompanionInputError(
            "The model has one output, and a margin is between two classes. Give a binary "
            "classifier two outputs, such as (−z, z) / 2 for the logit z."
        )
    if count != len(batch.labels):
        raise CompanionInputError(
            f"The model returns {count} rows for {len(batch.labels)} labels; expected one for "
            "each example."
        )
    _check_range(batch, classes)
    broken = (~torch.isfinite(outputs)).any(1).nonzero()
    if len(broken):
        raise CompanionInputError(
            f"The logits of example {batch.start + int(broken[0])} are NaN or infinite, so "
            "that it has no margin. Leave it out, or run the model in a wider precision."
        )


def missing_examples() -> CompanionInputError:
    """The error for data that hold nothing."""
    return CompanionInputError(
        "There are no examples: the data give no batch. Pass a loader, a dataset or tensors "
        "that hold some."
    )


def _check_range(batch: Batch, classes: int) -> None:
    wrong = ((batch.labels < 0) | (batch.labels >= classes)).nonzero()
    if len(wrong):
        at = int(wrong[0])
        raise CompanionInputError(
            f"Labels must be from 0 to {classes - 1}, because the model has {classes} outputs, "
            f"but example {batch.start + at} has the label {int(batch.labels[at])}."
        )


def _dataset(data: Any) -> Any:
    if isinstance(data, (DataLoader, Dataset)):
        return data
    if not isinstance(data, (tuple, list)) or not all(isinstance(x, Tensor) for x in data):
        raise CompanionInputError(
            "The data must be a DataLoader, a Dataset, or a tuple of tensors whose last one is "
            f"the labels, but got a {type(data).__name__}. Pass (inputs, labels)."
        )
    if not data or len({len(part) if part.dim() else -1 for part in data}) != 1:
        raise CompanionInputError(
            "The tensors must be inputs and labels with one row for each example, but have the "
            f"shapes {[tuple(part.shape) for part in data]}."
        )
    return TensorDataset(*data)


def _whole_numbers(labels: Any, start: int) -> Tensor:
    """The labels of a batch, (batch,), on the CPU."""
    if labels is None:
        raise CompanionInputError(
            "The data give no labels, and a margin is that of a label. Give batches as tuples "
            "whose last element holds whole numbers, (batch,), the class of each example."
        )
    is_tensor = isinstance(labels, Tensor)
    if not is_tensor or labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        found = f"{tuple(labels.shape)} of {labels.dtype}" if is_tensor else type(labels)
        raise CompanionInputError(
            f"Labels must be whole numbers, (batch,), but those from example {start} on are "
            f"{found}. They are the last element of a batch."
        )
    return labels.detach().long().cpu()
