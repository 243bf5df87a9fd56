"""Checks of what comes in and what comes out, each with a message that says what to do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from captum_ilin.errors import (
    EmptyBatchError,
    ForwardFunctionError,
    InputTypeError,
    NonFiniteError,
    NotOfferedError,
    OpaqueModuleError,
    OutputShapeError,
    PointError,
)
from captum_ilin.modes import gradients_on
from captum_ilin.sideeffects import modules_of

if TYPE_CHECKING:
    from captum_ilin.location import Site

__all__ = [
    "check_batch",
    "check_callable",
    "check_direction",
    "check_finite",
    "check_forward_func",
    "check_inputs",
    "check_module",
    "check_not_opaque",
    "check_output",
    "check_point",
    "check_single_device",
    "input_name",
    "takes_arguments",
]


def check_forward_func(forward_func: Any) -> None:
    """Callable with inputs, and nothing in it that cannot be seen through."""
    check_callable(forward_func)
    if not takes_arguments(forward_func):
        raise ForwardFunctionError(
            "forward_func takes no arguments, so the inputs cannot reach it. Pass a function "
            "of the inputs, for example `lambda x: model(x)`."
        )
    check_not_opaque(forward_func)
    check_single_device(forward_func, None)


def check_not_opaque(forward_func: Any) -> None:
    """Nothing in it is scripted or traced, quantized or lazy, or hooked the old way."""
    if isinstance(forward_func, (torch.jit.ScriptFunction, torch._C.ScriptMethod)):
        raise _opaque("forward_func", forward_func)
    for root in modules_of(forward_func):
        for name, module in root.named_modules():
            check_module(module, f"the module {name!r}" if name else "the model")


def check_callable(forward_func: Any) -> None:
    """Something that can be called."""
    if not callable(forward_func):
        raise ForwardFunctionError(
            f"forward_func has type {type(forward_func).__name__}, which cannot be called. "
            "Pass a module or a function that returns the outputs to explain."
        )


def takes_arguments(forward_func: Any) -> bool:
    """Whether the inputs can be passed to ``forward_func``."""
    try:
        return bool(inspect.signature(forward_func).parameters)
    except (TypeError, ValueError):  # a builtin that does not tell
        return True


def check_module(module: nn.Module, where: str) -> None:
    """Nothing about the module that keeps a run from seeing, or changing, what it does."""
    if isinstance(module, torch.jit.ScriptModule):
        raise _opaque(where, module)
    if type(module).__module__.startswith(_QUANTIZED):
        raise OpaqueModuleError(
            f"{where} is quantized ({type(module).__name__}): its weights are packed integers, "
            "and no derivative passes through it. Pass the floating-point model it was made "
            "from."
        )
    own = (*module._parameters.values(), *module._buffers.values())
    if any(is_lazy(tensor) for tensor in own if tensor is not None):
        raise ForwardFunctionError(
            f"{where} is lazy and has no parameters yet ({type(module).__name__}): a first run "
            "would make them, which would change your model. Run the model once on an example "
            "before explaining it."
        )
    if module._backward_hooks and not module._is_full_backward_hook:
        raise NotOfferedError(
            f"{where} has a backward hook set by register_backward_hook, which would run on, "
            "and may replace, the gradients of the map. Remove it, or set it by "
            "register_full_backward_hook, which is left out."
        )


_QUANTIZED = (
    *("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized"),
    "torch.ao.nn.sparse.quantized",
)


def _opaque(where: str, what: Any) -> OpaqueModuleError:
    return OpaqueModuleError(
        f"{where} is scripted or traced ({type(what).__name__}), so its operations cannot be "
        "seen and none could be frozen. Pass the Python module it was made from."
    )


def check_inputs(inputs: tuple[Any, ...], forward_func: Any = None) -> None:
    """Floating-point tensors with at least one row, all finite.

    ``forward_func`` is asked for its embedding layer if the inputs turn out to be token ids.
    """
    if not inputs:
        raise InputTypeError("inputs is an empty tuple. Pass at least one tensor to explain.")
    for position, value in enumerate(inputs):
        _check_input(value, input_name(position, inputs), forward_func)


def input_name(position: int, inputs: tuple[Any, ...]) -> str:
    """For messages: what the caller knows an input by."""
    return "inputs" if len(inputs) == 1 else f"inputs[{position}]"


def _check_input(value: Any, name: str, forward_func: Any) -> None:
    if not isinstance(value, Tensor):
        raise InputTypeError(
            f"{name} is a {type(value).__name__}; expected a floating-point tensor. "
            f"{_advice_on_type(value)}"
        )
    if not value.is_floating_point():
        raise InputTypeError(
            f"{name} is a tensor of {value.dtype}; expected floating point, because an "
            f"affine map needs inputs that can vary continuously. {_advice_on_numbers(value)}"
            f"{_advice_on_tokens(value, forward_func)}"
        )
    if value.is_meta or value.is_nested:
        kind = "on the meta device, without values" if value.is_meta else "nested"
        raise InputTypeError(
            f"{name} is a tensor {kind}; expected a dense tensor of numbers. "
            + ("Move it to a real device." if value.is_meta else "Pad it, and pass a mask.")
        )
    if value.dim() == 0 or value.shape[0] == 0:
        raise EmptyBatchError(
            f"{name} has shape {tuple(value.shape)}: no rows to explain. The first "
            "dimension is the batch; pass at least one example."
        )
    check_finite(value, name)


def check_point(point: Any, inputs: tuple[Tensor, ...], name: str) -> tuple[Tensor, ...]:
    """A tensor, or a tuple of them, shaped like the inputs; as a tuple of their dtype.

    Autograd saves none that were made under inference mode, so that those are copied.
    """
    values = point if isinstance(point, tuple) else (point,)
    wanted = [tuple(value.shape) for value in inputs]
    if not all(isinstance(value, Tensor) for value in values):
        raise PointError(
            f"{name} is a {_kinds(values)}; expected {_shapes(wanted)}, as the inputs are."
        )
    shapes = [tuple(value.shape) for value in values]
    if shapes != wanted:
        raise PointError(
            f"{name} has shape {_shapes(shapes)}; expected {_shapes(wanted)}, because a map "
            "belongs to the rows that it was made at. Linearize at one example to follow that."
        )
    with gradients_on():
        return tuple(
            (value.clone() if value.is_inference() else value.detach()).to(leaf)
            for value, leaf in zip(values, inputs, strict=True)
        )


def check_direction(direction: Any, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Shaped like the inputs, finite, and not zero."""
    steps = check_point(direction, leaves, "direction")
    if not all(bool(torch.isfinite(step).all()) for step in steps):
        raise PointError("direction holds NaN or infinite values; expected finite ones.")
    if not any(bool(step.any()) for step in steps):
        raise PointError(
            "direction is zero everywhere, so it leads nowhere. Pass a direction to move in."
        )
    return steps


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))


def _kinds(values: tuple[Any, ...]) -> str:
    return " and ".join(type(value).__name__ for value in values)


def _advice_on_type(value: Any) -> str:
    if value is None:
        return "Leave it out, or pass it in additional_forward_args."
    if isinstance(value, dict):
        return (
            "Pass its tensors as a tuple, and `lambda a, b: model(a=a, b=b)` as forward_func."
        )
    if isinstance(value, list) and any(isinstance(item, Tensor) for item in value):
        return "Pass several inputs as a tuple; make rows one tensor with torch.stack(...)."
    return "Convert it with torch.as_tensor(...)."


def _advice_on_numbers(value: Tensor) -> str:
    if value.is_complex():
        return (
            "Pass torch.view_as_real(...) of it, and "
            "`lambda x: model(torch.view_as_complex(x))` as forward_func."
        )
    return "Convert numbers with .float()."


def _advice_on_tokens(value: Tensor, forward_func: Any) -> str:
    if value.is_complex() or value.dtype == torch.bool:
        return ""
    return (
        " For token ids, explain the output of the embedding layer instead: `from "
        f"captum_ilin import LayerILIN; LayerILIN(model, {_embedding_layer(forward_func)})"
        ".attribute(ids, target=...)`."
    )


def _embedding_layer(forward_func: Any) -> str:
    """How to write the model's first embedding layer, if it is known to have one."""
    for root in modules_of(forward_func):
        for path, module in root.named_modules():
            if isinstance(module, torch.nn.Embedding):
                return f'model.get_submodule("{path}")' if path else "model"
    return "model.get_input_embeddings()"


def check_single_device(forward_func: Any, device_ids: list[int] | None) -> None:
    """Not replicated: ops of replicas run in threads of their own, where none is frozen."""
    used = [
        module.device_ids
        for root in modules_of(forward_func)
        for module in root.modules()
        if isinstance(module, torch.nn.DataParallel)
    ]
    for ids in [device_ids or [], *used]:
        if len(ids) > 1:
            raise NotOfferedError(
                f"The model is replicated on devices {list(ids)} (nn.DataParallel), whose "
                "threads run ops that cannot be seen from here, so none would be frozen. "
                "Pass the model itself, model.module, on one device, and leave device_ids "
                "out."
            )


def check_finite(value: Tensor, name: str, site: Site | None = None) -> None:
    """No NaN and no infinity; ``site`` is where they first appeared, if known."""
    if torch.isfinite(value.detach().sum()):
        return  # a finite sum has finite terms; the converse takes a closer look
    finite = torch.isfinite(value)
    if finite.all():
        return
    where = "" if site is None else f", first made by {site}"
    raise NonFiniteError(
        f"{name} (shape {tuple(value.shape)}) holds {int((~finite).sum())} NaN or infinite "
        f"values{where}, and no affine map reaches those. Clean the data, or look for an "
        "overflow, a division by zero, or a root or norm at exactly zero."
    )


def check_output(outputs: Any) -> None:
    """One tensor with a batch dimension."""
    if not isinstance(outputs, Tensor):
        raise ForwardFunctionError(
            f"forward_func returned a {type(outputs).__name__}; expected one tensor. Wrap "
            f"it, for example `lambda x: {_part_of(outputs)}`."
        )
    if outputs.dim() == 0:
        raise OutputShapeError(
            "forward_func returned a single number for the whole batch (a 0-d tensor); "
            "expected one row per example, (batch,) or (batch, ...). Drop the reduction "
            "over the batch, or end with .reshape(1) if the batch is one example."
        )


def _part_of(outputs: Any) -> str:
    """How to write the first tensor in ``outputs``."""
    if isinstance(outputs, Mapping) and not hasattr(outputs, "logits"):
        keys = [key for key, value in outputs.items() if isinstance(value, Tensor)]
        return f"model(x)[{keys[0]!r}]" if keys else "model(x)[...]"
    if isinstance(outputs, (list, tuple)) and not hasattr(outputs, "logits"):
        places = [i for i, value in enumerate(outputs) if isinstance(value, Tensor)]
        return f"model(x)[{places[0]}]" if places else "model(x)[...]"
    return "model(x).logits"


def check_batch(outputs: Tensor, inputs: tuple[Tensor, ...]) -> None:
    """As many rows out as in, for every input."""
    for position, value in enumerate(inputs):
        if outputs.shape[0] != value.shape[0]:
            raise OutputShapeError(
                f"forward_func returned {outputs.shape[0]} rows (shape "
                f"{tuple(outputs.shape)}) for {value.shape[0]} rows of "
                f"{input_name(position, inputs)} (shape {tuple(value.shape)}). The first "
                "dimension of both must be the batch: pass a single example as x[None]."
            )
