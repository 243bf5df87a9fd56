"""``modules_at``: the modules that paths name, as ``model.named_modules()`` names them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from torch import nn

from captum_ilin.errors import LayerError, LayerTypeError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["modules_at"]


def modules_at(paths: Any, forward_func: Any) -> list[nn.Module]:
    """The modules at ``paths`` in ``forward_func``; a module stands for itself.

    Raises:
        LayerTypeError: no list, or one that holds something else.
        LayerError: a path where forward_func is no module, or one that does not exist.
    """
    if not isinstance(paths, (list, tuple)):
        raise LayerTypeError(
            f"paths is a {type(paths).__name__}; expected a list of paths, as "
            "model.named_modules() lists them, or of modules. Pass [...], also for a single "
            "one."
        )
    return [_module_at(path, forward_func) for path in paths]


def _module_at(path: Any, forward_func: Any) -> nn.Module:
    if isinstance(path, nn.Module):
        return path
    if not isinstance(path, str):
        raise LayerTypeError(
            f"The layer is given as a {type(path).__name__}; expected the path of a module, as "
            "model.named_modules() lists it, or the module itself."
        )
    if not isinstance(forward_func, nn.Module):
        raise LayerError(
            f"The layer is given as the path {path!r}, but forward_func is a "
            f"{type(forward_func).__name__}, not a module, so it has no paths. Pass the module "
            f"itself: layer(model.get_submodule({path!r}))."
        )
    modules = dict(forward_func.named_modules(remove_duplicate=False))
    if path not in modules:
        raise LayerError(
            f"There is no layer {path!r} in the model ({type(forward_func).__name__}). "
            f"{_advice(path, list(modules)[1:])}"
        )
    return modules[path]


def _advice(path: str, paths: Sequence[str]) -> str:
    inside = [known for known in paths if known.endswith(f".{path}")][:3]
    near = inside or difflib.get_close_matches(path, paths, n=3)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    if not paths:
        return "It holds no modules; '' is the model itself."
    some = ", ".join([*map(repr, paths[:5]), *["…"][: len(paths) > 5]])
    return f"Its {len(paths)} modules are {some}: see named_modules()."
