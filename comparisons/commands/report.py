"""``report`` and ``compare``: tables and figures of one run, and what two runs differ in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare both commands."""
    report = commands.add_parser("report", help="tables and figures of a run, made again")
    report.add_argument("folder", type=Path, metavar="RUN", help="its folder")
    report.set_defaults(command=_report)
    compare = commands.add_parser("compare", help="where two runs differ")
    compare.add_argument("folders", type=Path, nargs=2, metavar="RUN", help="their folders")
    compare.set_defaults(command=_compare)


def _report(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.report import report

    _expect_results(options.folder, parser)
    return report(options.folder, Console())


def _compare(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.report import compare

    for folder in options.folders:
        _expect_results(folder, parser)
    first, second = options.folders
    return compare(first, second, Console())


def _expect_results(folder: Path, parser: argparse.ArgumentParser) -> None:
    from comparisons.records.resultsfolder import FolderError, ResultsFolder

    if not (folder / "plan.json").is_file():
        parser.error(
            f"{folder} is no results folder of a suite: it has no plan.json. Name one that "
            "python -m comparisons run has written, such as results/quick."
        )
    try:
        ResultsFolder(folder).plan()
    except FolderError as error:
        parser.error(str(error))
