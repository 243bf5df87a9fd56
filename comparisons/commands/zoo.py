"""``zoo``: the zoo's architectures certified, and their page written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    zoo = commands.add_parser("zoo", help="certify the zoo's architectures; writes its page")
    zoo.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    zoo.add_argument("--out", type=Path, default=Path("docs/zoo.md"), help="the page")
    zoo.set_defaults(command=_zoo)


def _zoo(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.zoo import ARCHITECTURES
    from comparisons.zoo.page import write_page

    architectures = {architecture.name: architecture for architecture in ARCHITECTURES}
    names = known(options.models, architectures, "model", parser)
    write_page(options.out, [architectures[name] for name in names], Console())
    return 0
