"""``keep``: a run as it is committed: records compressed, tables, summary and pictures beside.

``report`` and ``compare`` read such a folder like any other.
"""

from __future__ import annotations

import lzma
import shutil
from typing import TYPE_CHECKING

from comparisons.picture import few_colours
from comparisons.records.resultsfolder import ResultsFolder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keep"]

FILES = ("plan.json", "provenance.json")
REPORTS = ("summary.md", "table.csv", "table.md", "table.tex", "ranks.csv")
PICTURES = ("attributions_*.png", "cascade_*.png", "curves_*.png", "steps.png")


def keep(run: Path, to: Path) -> list[Path]:
    """Copy what of a reported run is worth keeping; what was kept there before is removed.

    Args:
        run: a results folder with its report.
        to: the folder that is made.

    Returns:
        The files.

    Raises:
        FolderError: the folder holds something else; nothing in it is changed.
    """
    report = run / "report"
    if to.exists() and any(to.iterdir()):
        ResultsFolder(to).plan()  # raises unless what is replaced is a run
        shutil.rmtree(to)
    to.mkdir(parents=True, exist_ok=True)
    kept = [_copied(run / name, to) for name in FILES]
    kept += [_compressed(path, to) for path in sorted(run.glob("records-*.jsonl"))]
    kept += [_copied(path, to) for path in sorted(run.glob("warnings-*.jsonl"))]
    kept += [_copied(report / name, to) for name in REPORTS]
    for pattern in PICTURES:
        for path in sorted((report / "figures").glob(pattern)):
            kept.append(_with_few_colours(path, to))
    return kept


def _copied(path: Path, to: Path) -> Path:
    shutil.copyfile(path, to / path.name)
    return to / path.name


def _compressed(path: Path, to: Path) -> Path:
    found = to / f"{path.name}.xz"
    found.write_bytes(lzma.compress(path.read_bytes()))
    return found


def _with_few_colours(path: Path, to: Path) -> Path:
    (to / path.name).write_bytes(few_colours(path))
    return to / path.name
