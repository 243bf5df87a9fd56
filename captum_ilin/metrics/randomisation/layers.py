"""The layers that can be randomised, in the order in which the network runs them.

A layer is a module that owns parameters itself, raw ``nn.Parameter`` included. The order is
that of the first call in one forward pass, whatever the order of definition.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_ilin.metrics.chance import drawing_from
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.features import as_tuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from captum_ilin.metrics.features import Inputs

__all__ = [
    "ROOT",
    "executed_layers",
    "named_layers",
    "randomisable_layers",
    "restricted",
]

ROOT = "(model)"  # the name of the model itself, where it owns parameters


def randomisable_layers(
    model: nn.Module, inputs: Inputs, *, additional_forward_args: Any = None
) -> tuple[str, ...]:
    """Names of the modules that own parameters, in execution order.

    A module that its parent reads without calling it (an attention's output projection)
    follows the module that holds it, if the output depends on it. Modules that the forward
    pass does not use are left out.

    Args:
        model: any module; it is copied, and the copy run once on at most two examples.
        inputs: (batch, \\*features), or a tuple of such tensors.
        additional_forward_args: further arguments of the forward.

    Returns:
        Module paths; ``"(model)"`` for parameters of the model itself.

    >>> import torch
    >>> from torch import nn
    >>> from captum_ilin.metrics import randomisable_layers
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> randomisable_layers(model, torch.rand(1, 4))
    ('0', '2')
    """
    return executed_layers(copy.deepcopy(model), inputs, additional_forward_args)


def executed_layers(
    copied: nn.Module, inputs: Inputs, additional_forward_args: Any
) -> tuple[str, ...]:
    """As `randomisable_layers`, by running a copy that may end with other buffers."""
    rows = torch.arange(min(2, len(as_tuple(inputs)[0])))
    examples = Examples(inputs, None, additional_forward_args).take(rows)
    parameters = list(copied.parameters())
    wanted = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
    called, outputs = _run(copied, examples)
    found = _in_order(copied, called, outputs)
    for parameter, was_wanted in zip(parameters, wanted, strict=True):
        parameter.requires_grad_(was_wanted)
    return found


def named_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every module that owns parameters, by path."""
    return {
        name or ROOT: module
        for name, module in model.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    }


def _run(model: nn.Module, examples: Examples) -> tuple[list[nn.Module], Any]:
    """The modules called, each at its first call, and the output."""
    called: dict[nn.Module, None] = {}

    def note(module: nn.Module, arguments: Any) -> None:
        called.setdefault(module)

    handles = [module.register_forward_pre_hook(note) for module in model.modules()]
    extra = examples.additional_forward_args
    constants = () if extra is None else extra if isinstance(extra, tuple) else (extra,)
    with drawing_from(0), torch.enable_grad():
        outputs = model(*as_tuple(examples.inputs), *constants)
    for handle in handles:
        handle.remove()
    return list(called), outputs


def _in_order(model: nn.Module, called: Sequence[nn.Module], outputs: Any) -> tuple[str, ...]:
    place = {module: number for number, module in enumerate(called)}
    owners = named_layers(model)
    order = [(place[module], -1, name) for name, module in owners.items() if module in place]
    if len(order) < len(owners):
        modules, read = dict(model.named_modules()), _read(model, outputs)
        order += [
            (place[_holder(name, modules, place)], number, name)
            for number, (name, module) in enumerate(owners.items())
            if module not in place and set(module.parameters(recurse=False)) & read
        ]
    return tuple(name for _, _, name in sorted(order))


def _read(model: nn.Module, outputs: Any) -> set[Tensor]:
    """The parameters that the output depends on."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not isinstance(outputs, Tensor) or not outputs.requires_grad:
        return set()
    found = torch.autograd.grad(outputs.sum(), parameters, allow_unused=True)
    return {p for p, gradient in zip(parameters, found, strict=True) if gradient is not None}


def _holder(name: str, modules: dict[str, nn.Module], place: dict[nn.Module, int]) -> nn.Module:
    """The nearest module above that is called; the model itself always is."""
    while name and modules[name] not in place:
        name = name.rpartition(".")[0]
    return modules[name]


def restricted(found: Sequence[str], layers: Iterable[str] | None) -> tuple[str, ...]:
    """The layers asked for, in execution order.

    Raises:
        MetricInputError: a layer is not there, or none is left.
    """
    wanted = found if layers is None else tuple(layers)
    unknown = [name for name in wanted if name not in found]
    if unknown or not wanted:
        raise MetricInputError(
            f"layers: expected some of {', '.join(found) or 'none (no parameters)'}, the "
            f"modules that own parameters and run; got {', '.join(unknown) or 'none'}. "
            "randomisable_layers(model, inputs) lists them."
        )
    return tuple(name for name in found if name in set(wanted))
