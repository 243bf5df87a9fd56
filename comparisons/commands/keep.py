"""``keep``: a run as it is committed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]

REFERENCE = Path("comparisons") / "reference"


def add(commands: Commands) -> None:
    """Declare the command."""
    keep = commands.add_parser(
        "keep", help="a reported run as it is committed: compressed, without what is large"
    )
    keep.add_argument("folder", type=Path, metavar="RUN", help="its folder")
    keep.add_argument("--to", type=Path, help=f"folder (default: {REFERENCE}/<suite>)")
    keep.set_defaults(command=_keep)


def _keep(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from comparisons.records.kept import keep
    from comparisons.records.resultsfolder import FolderError, ResultsFolder

    try:
        plan = ResultsFolder(options.folder).plan()
        if not (options.folder / "report").is_dir():
            parser.error(
                f"{options.folder} has no report. Make it: python -m comparisons report "
                f"{options.folder}"
            )
        kept = keep(options.folder, options.to or REFERENCE / plan["suite"]["name"])
    except FolderError as error:
        parser.error(str(error))
    for path in kept:
        print(f"  {path}")
    return 0
