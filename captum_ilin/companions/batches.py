"""What a loader gives, as a model's arguments and labels, as Captum has them: labels last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from captum_ilin.companions.head import Head

__all__ = ["as_inputs", "check_repeats", "loader_of", "split_batch"]

RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


def split_batch(batch: Any) -> tuple[Any, Any]:
    """The model's arguments and the labels, as Captum has them: the last of several."""
    if isinstance(batch, Mapping) or not isinstance(batch, (Tensor, tuple, list)):
        raise CompanionInputError(
            f"The loader gives a {type(batch).__name__}; expected a tensor, or a tuple whose "
            "last element is the labels: the model is called as model(*batch[:-1]). Pass a "
            "collate_fn that gives such a tuple."
        )
    if isinstance(batch, Tensor):
        return (batch,), None
    if not len(batch):
        raise CompanionInputError(
            "The loader gives an empty tuple; expected inputs and labels."
        )
    return (tuple(batch), None) if len(batch) == 1 else (tuple(batch[:-1]), batch[-1])


def loader_of(data: Dataset[Any] | DataLoader[Any], batch_size: int) -> DataLoader[Any]:
    """The loader itself, or one of the dataset.

    Raises:
        CompanionInputError: it shuffles, so that the number of an example means nothing.
    """
    if not isinstance(data, DataLoader):
        return DataLoader(data, batch_size=batch_size, shuffle=False)
    samplers = data.sampler, getattr(data.batch_sampler, "sampler", None)
    if any(isinstance(sampler, RANDOM) for sampler in samplers):
        raise CompanionInputError(
            "The loader shuffles, so that the numbers of its examples mean nothing: results "
            "are told by an example's number in the dataset. Pass the dataset, or a loader "
            "with shuffle=False."
        )
    return data


def as_inputs(inputs: Any, head: Head | None, model: nn.Module) -> tuple[Any, ...]:
    """The model's arguments, on the device of its head, or of its first parameter."""
    values = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    like = next(model.parameters(), None) if head is None else head.module.weight
    if like is None:
        return values
    return tuple(v.to(like.device) if isinstance(v, Tensor) else v for v in values)


def check_repeats(head: Head, inputs: tuple[Any, ...]) -> None:
    """Raise for a model whose features are not a function of the example."""
    training = [
        path
        for path, module in head.model.named_modules()
        if module.training and isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    if training:
        raise CompanionInputError(
            f"The batch norm {training[0]!r} is in training mode, so that an example's "
            "features depend on its batch. Call model.eval() first."
        )
    first, second = head.read(inputs), head.read(inputs)
    if not torch.allclose(first.features, second.features, 0.0, 0.0, equal_nan=True):
        raise CompanionInputError(
            "The model gives other features for the same batch when it is run again, as "
            "dropout in training mode does. Call model.eval() first."
        )
