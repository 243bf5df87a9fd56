"""Names on the command line, and folders that are named by time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from comparisons.nearest import hint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

__all__ = ["known", "new_folder"]


def known(
    names: list[str] | None,
    choices: Collection[str],
    what: str,
    parser: argparse.ArgumentParser,
) -> list[str]:
    """The chosen names, or all; near matches are offered for one that is not known."""
    for name in names or []:
        if name not in choices:
            parser.error(f"unknown {what} {name!r}. {hint(name, choices)}")
    return names or list(choices)


def new_folder(kind: str) -> Path:
    """``results/<kind>-<time>``."""
    return Path("results") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"
