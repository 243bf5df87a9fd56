"""The linear head Φ(x) = Θ f(x) of the companions: found in a model or named, checked, read.

Nothing is guessed: a module is the head if it is an ``nn.Linear`` and what the model returns
is, on a batch, what that module makes of its own input.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.modulepath import modules_at
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Head", "Read", "check_logits", "find_head"]

NAME_IT = "or pass the head: head='path.of.the.layer', as model.named_modules() lists it"


class Read(NamedTuple):
    """What one batch puts into the head, (batch, width), and what the model returns."""

    features: Tensor
    outputs: Tensor


class _Call(NamedTuple):
    module: nn.Linear
    value: Any
    output: Any


@dataclass(frozen=True)
class Head:
    """A model's last linear layer.

    Attributes:
        model: the whole model.
        module: the layer, Φ = W f + b.
        path: where it is in the model.
    """

    model: nn.Module
    module: nn.Linear
    path: str

    @property
    def width(self) -> int:
        """How many features the head takes."""
        return int(self.module.in_features)

    @property
    def classes(self) -> int:
        """How many outputs it gives."""
        return int(self.module.out_features)

    @property
    def has_bias(self) -> bool:
        """Whether it adds a constant, which the refit treats as the weight of a feature 1."""
        return self.module.bias is not None

    def read(self, inputs: Sequence[Any]) -> Read:
        """What the model puts into the head, and returns, for one batch.

        Raises:
            CompanionInputError: the head is not called, or gives something else than the
                model.
        """
        calls, outputs = _run(self.model, [self.module], inputs)
        if not calls:
            raise CompanionInputError(
                f"The head {self.path!r} is not reached: the model never calls it on these "
                f"inputs. Pass a layer that runs, {NAME_IT}."
            )
        _check(calls[-1], outputs, self.path)
        return Read(calls[-1].value.detach(), outputs.detach())


def find_head(model: nn.Module, inputs: Sequence[Any], head: nn.Module | str | None) -> Head:
    """The model's linear head, checked on one batch.

    Args:
        model: the model.
        inputs: its arguments, one batch.
        head: the layer or its path; None looks for the last ``nn.Linear`` that is called.

    Raises:
        CompanionInputError: there is none, or what the model returns is not what it gives.
        LayerError: no such path.
    """
    paths = {module: path for path, module in model.named_modules()}
    if head is not None:
        return _named(model, head, paths, inputs)
    candidates = [module for module in paths if isinstance(module, nn.Linear)]
    calls, outputs = _run(model, candidates, inputs)
    if not calls:
        raise CompanionInputError(
            f"No linear head: {type(model).__name__} calls no nn.Linear on these inputs. "
            f"Put the product that makes the logits into an nn.Linear, {NAME_IT}."
        )
    path = paths[calls[-1].module]
    _check(calls[-1], outputs, path)
    return Head(model, calls[-1].module, path)


def _named(
    model: nn.Module, head: Any, paths: dict[nn.Module, str], inputs: Sequence[Any]
) -> Head:
    (module,) = modules_at([head], model)
    if not isinstance(module, nn.Linear):
        raise CompanionInputError(
            f"The head must be an nn.Linear, for only then are the logits a product of it with "
            f"features, but {head if isinstance(head, str) else paths.get(module, '')!r} is a "
            f"{type(module).__name__}."
        )
    if module not in paths:
        raise CompanionInputError(
            "The head is not part of the model. Pass a module of the very object that is "
            "called, not of a copy, or its path."
        )
    found = Head(model, module, paths[module])
    found.read(inputs)
    return found


def _run(
    model: nn.Module, modules: Sequence[nn.Module], inputs: Sequence[Any]
) -> tuple[list[_Call], Any]:
    """The calls of the modules, in order, and the model's outputs; the model stays as it is."""
    with torch.no_grad(), buffers_kept(model), _recorded(modules) as calls:
        outputs = model(*inputs)
    return calls, outputs


@contextmanager
def _recorded(modules: Sequence[nn.Module]) -> Iterator[list[_Call]]:
    calls: list[_Call] = []

    def hook(module: Any, args: Any, output: Any) -> None:
        calls.append(_Call(module, args[0] if args else None, output))

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def check_logits(outputs: Any) -> None:
    """Raise unless this is what a classifier returns, (batch, classes)."""
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise CompanionInputError(
            f"The model must return logits, (batch, classes), but returned {shape}. Wrap it so "
            "that it returns one row of logits for each example."
        )


def _check(call: _Call, outputs: Any, path: str) -> None:
    """Raise unless the outputs are Θ f, (batch, classes), with several classes."""
    width, classes = call.module.in_features, call.module.out_features
    check_logits(outputs)
    value = call.value
    if not isinstance(value, Tensor) or value.shape != (len(outputs), width):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise CompanionInputError(
            f"The head {path!r} takes {width} features, so what goes into it must be "
            f"({len(outputs)}, {width}), one row for each example, but it is {shape}. Pool or "
            f"flatten before it, {NAME_IT}."
        )
    _check_linear(call, outputs, path)
    if classes < 2:
        raise CompanionInputError(
            f"The head {path!r} has one output, whose softmax is 1 whatever it is. Two "
            "classes are needed: give a binary classifier two outputs."
        )


@torch.no_grad()
def _check_linear(call: _Call, outputs: Tensor, path: str) -> None:
    made = F.linear(call.value, call.module.weight, call.module.bias)
    if made.shape == outputs.shape and _are_close(made, outputs):
        return
    raise CompanionInputError(
        f"No linear head: what the model returns is not what the last nn.Linear, {path!r}, "
        f"makes of its input (they differ by {_difference(made, outputs)}). If a softmax or "
        f"another layer follows it, leave that out, so that logits are returned; {NAME_IT}."
    )


def _are_close(made: Tensor, outputs: Tensor) -> bool:
    """Equal but for two orders of summation of one product, in the coarser dtype of the two."""
    if not outputs.is_floating_point():
        return False
    unit = 64 * max(torch.finfo(made.dtype).eps, torch.finfo(outputs.dtype).eps)
    largest = float(outputs.abs().nan_to_num(0, 0).max()) if outputs.numel() else 0.0
    one, other = made.double(), outputs.double()
    return torch.allclose(one, other, rtol=unit, atol=unit * largest, equal_nan=True)


def _difference(made: Tensor, outputs: Tensor) -> str:
    if made.shape != outputs.shape:
        return f"shape, {tuple(made.shape)} and {tuple(outputs.shape)}"
    return f"{float((made - outputs).abs().max()):.3g}"
