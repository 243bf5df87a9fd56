"""``pictures``: the pictures of the page of the docs on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]

SHOWN = Path("docs") / "pictures"


def add(commands: Commands) -> None:
    """Declare the command."""
    pictures = commands.add_parser(
        "pictures", help="the pictures of docs/pictures.md, from trained networks"
    )
    pictures.add_argument("--out", type=Path, help=f"folder (default: {SHOWN})")
    pictures.set_defaults(command=_pictures)


def _pictures(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from comparisons.gallery import draw_gallery

    for path in draw_gallery(options.out or SHOWN):
        print(f"  {path}")
    return 0
