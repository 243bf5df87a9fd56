"""Captum's target forms: which output of each example is meant."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from captum_ilin.errors import MissingTargetError, TargetError, TargetRangeError

__all__ = ["check_row", "select", "target_rows"]


def select(outputs: Tensor, target: Any) -> Tensor:
    """The chosen output of each example.

    Args:
        outputs: (batch, \\*out).
        target: None (one output per example), an int, a tuple of ints, a tensor of one
            element or of batch elements, a list of batch ints or of batch tuples.

    Returns:
        (batch,)

    Raises:
        MissingTargetError, TargetRangeError, TargetError: the target does not fit.
    """
    batch = outputs.shape[0]
    if target is None:
        return _only_output(outputs)
    rows = [_checked(index, outputs) for index in target_rows(target, batch)]
    columns = torch.tensor(rows, device=outputs.device).unbind(1)
    return outputs[(torch.arange(batch, device=outputs.device), *columns)]


def check_row(row: int, rows: int) -> int:
    """The number of an example, from 0 to ``rows`` − 1.

    Raises:
        TargetRangeError: the batch has no such row.
    """
    if isinstance(row, bool) or not isinstance(row, Integral) or not 0 <= row < rows:
        raise TargetRangeError(
            f"The row must be an int from 0 to {rows - 1}, because the batch has {rows} rows, "
            f"but got {row!r}. Pass the number of one example."
        )
    return int(row)


def _only_output(outputs: Tensor) -> Tensor:
    if outputs[0].numel() == 1:
        return outputs.reshape(-1)
    raise MissingTargetError(
        f"No target was given, but forward_func returns {outputs[0].numel()} outputs per "
        f"example (shape {tuple(outputs.shape)}). Pass target=..., for example the class "
        "index to explain."
    )


def target_rows(target: Any, batch: int) -> list[tuple[int, ...]]:
    """One index tuple per example, from any of Captum's target forms but None."""
    if isinstance(target, bool):
        raise _unknown(target)
    if isinstance(target, Integral):
        return [(int(target),)] * batch
    if isinstance(target, tuple):
        return [_indices(target)] * batch
    if isinstance(target, Tensor):
        return _tensor_rows(target, batch)
    if isinstance(target, list):
        _check_length(len(target), batch)
        return [_indices(item if isinstance(item, tuple) else (item,)) for item in target]
    raise _unknown(target)


def _tensor_rows(target: Tensor, batch: int) -> list[tuple[int, ...]]:
    if not _holds_integers(target):
        raise TargetError(
            f"The target is a tensor of {target.dtype}; targets are output indices, so it "
            "must be an integer tensor. Use target.long(), or argmax for one-hot labels."
        )
    if target.numel() == 1:
        return [(int(target.item()),)] * batch
    if target.dim() != 1:
        raise TargetError(
            f"The target tensor has shape {tuple(target.shape)}; expected one index, or one "
            f"per example, ({batch},). For several dimensions use a list of tuples."
        )
    _check_length(len(target), batch)
    return [(index,) for index in target.tolist()]


def _check_length(length: int, batch: int) -> None:
    if length != batch:
        raise TargetError(
            f"The target has {length} entries, but the output has {batch} examples. Pass "
            "one entry per example, or a single int for all."
        )


def _indices(items: tuple[Any, ...]) -> tuple[int, ...]:
    if not all(map(_is_index, items)):
        raise _unknown(items)
    return tuple(int(item) for item in items)


def _is_index(item: Any) -> bool:
    if isinstance(item, Tensor):
        return item.numel() == 1 and _holds_integers(item)
    return isinstance(item, Integral) and not isinstance(item, bool)


def _holds_integers(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _checked(index: tuple[int, ...], outputs: Tensor) -> tuple[int, ...]:
    shape = outputs.shape[1:]
    if len(index) != len(shape):
        raise TargetError(
            f"The target {_shown(index)} has {len(index)} indices, but each example's "
            f"output has {len(shape)} dimensions (output shape {tuple(outputs.shape)}). "
            f"Pass {_needed(len(shape))}."
        )
    for position, size in zip(index, shape, strict=True):
        if not -size <= position < size:
            raise TargetRangeError(
                f"The target {_shown(index)} is out of range: the output of each example "
                f"has shape {tuple(shape)}, so indices run from 0 to {size - 1}. Choose an "
                "existing output."
            )
    return index


def _shown(index: tuple[int, ...]) -> str:
    return str(index[0]) if len(index) == 1 else str(index)


def _needed(dims: int) -> str:
    return "no target" if dims == 0 else f"a tuple of {dims} ints" if dims > 1 else "an int"


def _unknown(target: Any) -> TargetError:
    return TargetError(
        f"The target {target!r} has a form that is not known. Use None, an int, a tuple of "
        "ints, an integer tensor, a list of ints or a list of tuples."
    )
