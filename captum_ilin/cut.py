"""``Cut``: one call of one layer, where a network is cut in two.

Below the cut, the network computes the layer's value a from the inputs; above it, the output
from a and from whatever passes the layer by: F(x) = G(a(x), x). Both halves are the user's
own forward function, run with a hook on the layer that reads a or puts one in its place. The
hook is there while the function runs, acts in the thread that set it, and is removed whatever
happens.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import BaseTorchFunctionMode

from captum_ilin.arguments import substituted, tensors
from captum_ilin.checks import check_finite, takes_arguments
from captum_ilin.errors import LayerError, LayerTypeError
from captum_ilin.modes import gradients_on, running_eagerly
from captum_ilin.sideeffects import buffers_kept, modules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Cut",
    "Reading",
    "called",
    "explained_positions",
    "layer_name",
    "layer_path",
    "not_reached",
    "read",
    "resume",
    "values_below",
]


@dataclass(frozen=True)
class Cut:
    """Where a network is cut.

    Attributes:
        layer: the module.
        at_input: at what goes into it, rather than at what comes out.
        call: which of its calls, if there are several: 0 the first, −1 the last.
        option: what the caller knows ``at_input`` by, for messages.
    """

    layer: Any
    at_input: bool = False
    call: int = -1
    option: str = "attribute_to_layer_input"

    def __post_init__(self) -> None:
        if not isinstance(self.layer, nn.Module):
            raise LayerTypeError(
                f"layer is a {type(self.layer).__name__}; expected a module of the model. "
                "Pass the module itself, for example model.get_submodule('encoder.0')."
            )

    @property
    def side(self) -> str:
        """For messages: which side of the layer is meant."""
        return "input" if self.at_input else "output"

    @contextmanager
    def visited(self, visit: Callable[[Any], Any]) -> Iterator[None]:
        """Call ``visit`` with the value of every call inside; None leaves it as it is."""
        thread = get_ident()

        def hook(module: nn.Module, args: Any, output: Any = None) -> Any:
            if get_ident() == thread:
                return visit(args if self.at_input else output)
            return None

        layer: nn.Module = self.layer
        register = (
            layer.register_forward_pre_hook if self.at_input else layer.register_forward_hook
        )
        handle = register(hook)
        try:
            yield
        finally:
            handle.remove()


class Reading(NamedTuple):
    """The layer's value at the cut: its floating-point tensors, and the number of the call."""

    values: tuple[Tensor, ...]
    call: int


def called(
    forward_func: Callable[..., Any], inputs: tuple[Tensor, ...], constants: tuple[Any, ...]
) -> Any:
    """The forward pass on copies of the inputs.

    A function without parameters closes over its inputs; as in Captum, it is given none.
    """
    if not takes_arguments(forward_func):
        return forward_func()
    return forward_func(*(value.clone() for value in inputs), *constants)


def read(cut: Cut, run: Callable[[], Any], forward_func: Callable[..., Any]) -> Reading:
    """Copies of the layer's value while ``run`` runs ``forward_func``, graphs attached.

    The copies are made at once: the model may overwrite the value later.
    """
    calls: list[tuple[Tensor, ...]] = []

    def visit(value: Any) -> None:
        found = [tensors(value)[position] for position in explained_positions(value, cut)]
        calls.append(tuple(tensor.clone() for tensor in found))

    with running_eagerly(), cut.visited(visit):
        run()
    if not calls:
        raise not_reached(cut, forward_func)
    if not -len(calls) <= cut.call < len(calls):
        raise LayerError(
            f"The layer {layer_name(cut.layer, forward_func)} is called {len(calls)} times, so "
            f"there is no call number {cut.call}. Calls are numbered from 0; -1 is the last."
        )
    return Reading(calls[cut.call], cut.call % len(calls))


def values_below(
    cut: Cut,
    forward_func: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    constants: tuple[Any, ...],
) -> Reading:
    """The layer's value at the inputs, without a graph.

    The mode, which changes nothing, keeps PyTorch's transformer layers from the fused path
    that runs none of their inner modules.
    """
    with gradients_on(), buffers_kept(forward_func), BaseTorchFunctionMode():
        reading = read(cut, lambda: called(forward_func, inputs, constants), forward_func)
    values = tuple(value.detach() for value in reading.values)
    name = layer_name(cut.layer, forward_func)
    for value in values:
        check_finite(value, f"The {cut.side} of the layer {name}")
    return reading._replace(values=values)


def resume(
    cut: Cut,
    number: int,
    forward_func: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    constants: tuple[Any, ...],
    *values: Tensor,
) -> Any:
    """The output with ``values`` in place of the layer's own, in call ``number``."""
    calls = count()

    def visit(value: Any) -> Any:
        if next(calls) != number:
            return None
        return substituted(value, explained_positions(value, cut), values)

    with running_eagerly(), cut.visited(visit):
        return called(forward_func, inputs, constants)


def explained_positions(value: Any, cut: Cut) -> list[int]:
    """Which of the value's tensors are explained: those of floating point."""
    if cut.at_input and not value:
        raise LayerTypeError(
            f"The layer {type(cut.layer).__name__} is called with keyword arguments only, "
            "which its input does not count. Explain the output of the module before it."
        )
    known = type(value) is dict or isinstance(value, (Tensor, list, tuple))
    found = tensors(value) if known else []
    positions = [i for i, tensor in enumerate(found) if tensor.is_floating_point()]
    if not positions:
        held = ", ".join(str(tensor.dtype) for tensor in found) or type(value).__name__
        raise LayerTypeError(
            f"The {cut.side} of the layer {type(cut.layer).__name__} is {held}; expected a "
            "tensor of floating point, or a tuple, list or dict that holds some. Explain a "
            "module before or after it, or the other side of this one "
            f"({cut.option}={not cut.at_input})."
        )
    return positions


def layer_name(layer: nn.Module, forward_func: Callable[..., Any]) -> str:
    """For messages: the layer's path, if it is known, and its class."""
    path = layer_path(layer, forward_func)
    return f"{path!r} ({type(layer).__name__})" if path else type(layer).__name__


def layer_path(layer: nn.Module, forward_func: Callable[..., Any]) -> str | None:
    """The layer's path in the model, None if it is not known to be part of one."""
    for root in modules_of(forward_func):
        for path, module in root.named_modules():
            if module is layer:
                return path
    return None


def not_reached(cut: Cut, forward_func: Callable[..., Any]) -> LayerError:
    """The error for a layer that is never called, which says why as far as it is known."""
    name = layer_name(cut.layer, forward_func)
    if modules_of(forward_func) and layer_path(cut.layer, forward_func) is None:
        return LayerError(
            f"The layer {name} is not part of the model that forward_func runs. Pass a module "
            "of the very object that is called, not of a copy: layer=model.get_submodule(...)."
        )
    tied = _paths_of_tied(cut.layer, forward_func)
    advice = (
        f"Its weights are also those of {' and '.join(map(repr, tied))}: explain that."
        if tied
        else "Explain a module that runs, such as the one around it."
    )
    return LayerError(
        f"The layer {name} is not reached: the forward pass at these inputs never calls it. It "
        "is skipped, or only its weights are read, as nn.MultiheadAttention does with its "
        f"out_proj. {advice}"
    )


def _paths_of_tied(layer: nn.Module, forward_func: Callable[..., Any]) -> list[str]:
    """Other modules of the layer's class that hold one of its parameters."""
    own = {id(parameter) for parameter in layer.parameters(recurse=False)}
    return [
        path
        for root in modules_of(forward_func)
        for path, module in root.named_modules()
        if module is not layer
        and type(module) is type(layer)
        and any(id(parameter) in own for parameter in module.parameters(recurse=False))
    ]
