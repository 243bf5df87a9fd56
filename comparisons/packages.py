"""Packages that carry trained weights: where they lie, and what to say when one is missing.

None is imported: their own imports ask for much that their weights do not need.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["MissingPackageError", "definitions", "folder_of", "require"]


class MissingPackageError(ModuleNotFoundError):
    """A package with weights, or one that reads them, is not installed."""


def require(module: str, *, purpose: str, install: str) -> None:
    """Raise unless ``module`` can be imported.

    Args:
        module: the name it is imported by.
        purpose: what needs it, as the subject of a sentence.
        install: the arguments of ``pip install`` that bring it.

    Raises:
        MissingPackageError: names the package and the line that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingPackageError(
            f"{purpose} needs the package {module}, which is not installed. "
            f"Install it with: python -m pip install {install}",
            name=module,
        )


def folder_of(module: str, *, purpose: str, install: str) -> Path:
    """The folder of an installed package, which is not imported. Arguments as ``require``."""
    require(module, purpose=purpose, install=install)
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def definitions(path: Path, *classes: str) -> Any:
    """A module with the named classes of a source file and its absolute imports only.

    Args:
        path: the source file.
        classes: names of classes at the file's top level.

    Returns:
        The module; what else the file does on import is left out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if _is_wanted(node, classes)]
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(tree, str(path), "exec"), vars(module))
    return module


def _is_wanted(node: ast.stmt, classes: tuple[str, ...]) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level == 0
    return isinstance(node, ast.Import) or (
        isinstance(node, ast.ClassDef) and node.name in classes
    )
