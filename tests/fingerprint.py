"""Everything about a model, an input and PyTorch that a method must leave as it was.

``untouched`` compares it before and after; the assertion names what changed.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fingerprint", "fingerprint_of_tensor", "untouched"]

_HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks"),
)
_PATCHABLE = (Tensor, nn.Module, torch.autograd, nn.functional, torch)


@contextmanager
def untouched(model: Any, *inputs: Tensor, draws: bool = False) -> Iterator[None]:
    """Assert that nothing changes inside.

    Args:
        model: a module, or any callable.
        inputs: tensors the caller owns.
        draws: random numbers may be drawn, as dropout does.
    """
    before = fingerprint(model, *inputs)
    try:
        yield
    finally:
        after = fingerprint(model, *inputs)
        if draws:
            before.pop("random state"), after.pop("random state")
        changed = [name for name in before | after if before.get(name) != after.get(name)]
        assert not changed, f"changed: {changed}"


def fingerprint(model: Any, *inputs: Tensor) -> dict[str, Any]:
    """Named values that are equal exactly when nothing has changed."""
    found: dict[str, Any] = {}
    for root in _modules_in(model):
        for path, module in root.named_modules():
            found |= _fingerprint_of_module(path or "model", module)
    for number, value in enumerate(inputs):
        found |= fingerprint_of_tensor(f"input {number}", value)
    return found | _fingerprint_of_torch()


def _modules_in(model: Any) -> list[nn.Module]:
    """The model itself, or what a function closes over."""
    if isinstance(model, nn.Module):
        return [model]
    if inspect.isfunction(model):
        values = inspect.getclosurevars(model).nonlocals.values()
        return [module for value in values for module in _modules_in(value)]
    return []


def _fingerprint_of_module(path: str, module: nn.Module) -> dict[str, Any]:
    found = {f"{path} {hooks}": list(getattr(module, hooks)) for hooks in _HOOKS}
    found[f"{path} attributes"] = {name: id(value) for name, value in vars(module).items()}
    found[f"{path} children"] = {name: id(child) for name, child in module.named_children()}
    found[f"{path} training"] = module.training
    found[f"{path} class"] = type(module), dict(vars(type(module)))
    for name, parameter in module.named_parameters(recurse=False):
        found |= fingerprint_of_tensor(f"{path} parameter {name}", parameter)
    for name, buffer in module.named_buffers(recurse=False):
        found |= fingerprint_of_tensor(f"{path} buffer {name}", buffer)
    return found


def fingerprint_of_tensor(name: str, tensor: Tensor) -> dict[str, Any]:
    grad = tensor.grad if tensor.is_leaf else None
    return {
        f"{name} identity": id(tensor),
        f"{name} values": _bits(tensor),
        f"{name} dtype": tensor.dtype,
        f"{name} requires_grad": tensor.requires_grad,
        f"{name} grad": None if grad is None else (id(grad), _bits(grad)),
        f"{name} hooks": dict(tensor._backward_hooks or {}),
        f"{name} attributes": list(vars(tensor)),
    }


def _bits(tensor: Tensor) -> bytes:
    """NaN equal to itself, and -0 different from 0."""
    return tensor.detach().contiguous().numpy().tobytes()


def _fingerprint_of_torch() -> dict[str, Any]:
    module = nn.modules.module
    return {
        "global hooks": [
            list(getattr(module, name))
            for name in sorted(vars(module))
            if name.startswith("_global_") and name.endswith("_hooks")
        ],
        "patched": {owner.__name__: _attributes(owner) for owner in _PATCHABLE},
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "default dtype": torch.get_default_dtype(),
        "random state": torch.get_rng_state().numpy().tobytes(),
    }


def _attributes(owner: Any) -> dict[str, int]:
    """Functions of a class or module, without what Python itself keeps there."""
    return {name: id(value) for name, value in vars(owner).items() if callable(value)}
