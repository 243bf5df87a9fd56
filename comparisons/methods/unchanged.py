"""A model whose modules are after a block what they were before it.

Captum's module-based methods set hooks and attributes. Measured with captum 0.9.0: LRP leaves
``activations`` on every layer that has a rule, and ``rule`` too when it refuses one; DeepLIFT
leaves ``input`` and ``output`` on activations after an error; guided backpropagation and
deconvolution leave nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["unchanged"]


@contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Put attributes and hooks of every module back, after errors too."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [(module, dict(vars(module)), _hooks_of(module)) for module in modules]
    try:
        yield
    finally:
        for module, attributes, hooks in before:
            vars(module).clear()
            vars(module).update(attributes)
            for name, registered in hooks.items():
                attributes[name].clear()
                attributes[name].update(registered)


def _hooks_of(module: nn.Module) -> dict[str, dict[Any, Any]]:
    """A copy of each of the module's tables of hooks."""
    return {
        name: dict(value)
        for name, value in vars(module).items()
        if "hooks" in name and isinstance(value, dict)
    }
