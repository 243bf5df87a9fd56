"""What representer points are asked for, checked, each message with what to do."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from captum_ilin.companions.errors import CompanionInputError

__all__ = ["check_count", "check_known", "check_options", "examples_for", "targets_for"]

TARGETS = ("model", "labels")


def check_options(model: Any, penalty: Any, targets: Any, tolerance: Any) -> None:
    """Raise for a model that has no modules, or options that no refit can have."""
    if not isinstance(model, nn.Module):
        raise CompanionInputError(
            f"The model must be an nn.Module, because its head is one of its modules, but got "
            f"a {type(model).__name__}. Pass the module, not a function that calls it."
        )
    if isinstance(penalty, bool) or not isinstance(penalty, Real):
        raise CompanionInputError(f"penalty must be a number above 0, but got {penalty!r}.")
    amount = float(penalty)
    if not (amount > 0 and math.isfinite(amount)):
        raise CompanionInputError(
            f"penalty is λ of λ‖Θ‖² and must be above 0 and finite, but got {amount:g}. "
            "Without it the head has no stationary point that its training examples span: α is "
            "divided by λ. Usual values are 1e-4 to 1e-1."
        )
    if targets not in TARGETS:
        raise CompanionInputError(
            f"targets must be 'model' (its own softmax) or 'labels', but got {targets!r}."
        )
    if not isinstance(tolerance, Real) or not float(tolerance) > 0:
        raise CompanionInputError(
            "tolerance is the stationarity to reach and must be above 0, but got "
            f"{tolerance!r}."
        )


def check_known(options: dict[str, Any]) -> None:
    """Raise for keyword arguments that do not exist."""
    if options:
        raise CompanionInputError(
            f"There is no option {next(iter(options))!r}. Those of influence are k, "
            "proponents, target and show_progress."
        )


def check_count(k: Any, count: int) -> None:
    """Raise for a number of training examples that there are not."""
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= count:
        raise CompanionInputError(
            f"k must be an int from 1 to {count}, because there are {count} training "
            f"examples, but got {k!r}."
        )


def targets_for(target: Any, outputs: Tensor) -> Tensor:
    """The class that is voted on, (batch,); for None the one with the largest output."""
    if target is None:
        return outputs.argmax(1)
    batch, classes = outputs.shape
    found = torch.as_tensor(target).cpu()
    if not _is_whole(found) or found.shape not in ((), (1,), (batch,)):
        raise CompanionInputError(
            f"target must be an int, or one for each of the {batch} inputs, but got {target!r}."
        )
    if bool(((found < 0) | (found >= classes)).any()):
        raise CompanionInputError(
            f"target must be from 0 to {classes - 1}, because the head has {classes} outputs, "
            f"but got {target!r}."
        )
    return found.long().expand(batch)


def examples_for(examples: Any, batch: int, count: int) -> Tensor:
    """Numbers of training examples, (batch, k); (k,) are the same for each row."""
    found = torch.as_tensor(examples).cpu()
    found = found.expand(batch, -1) if found.dim() == 1 else found
    if not _is_whole(found) or found.dim() != 2 or len(found) != batch or not found.shape[1]:
        raise CompanionInputError(
            f"examples must be numbers of training examples, (k,) or ({batch}, k), but got "
            f"{tuple(found.shape)} of {found.dtype}."
        )
    if bool(((found < 0) | (found >= count)).any()):
        raise CompanionInputError(
            f"examples must be from 0 to {count - 1}, because there are {count} training "
            f"examples, but got {int(found.min())} to {int(found.max())}."
        )
    return found.long()


def _is_whole(found: Tensor) -> bool:
    return not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
