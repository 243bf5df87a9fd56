"""Records: one JSON line for each method on each example, and the run's provenance."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Record", "Records", "provenance"]


@dataclass(frozen=True)
class Record:
    """One method on one example.

    Errors are absolute, in logits; None where the method claims nothing.

    Attributes:
        model, method, example: which cell.
        target: the output explained (the predicted class).
        value: F(x), the target's logit.
        bias: the ledger's b of ILIN; None for other methods.
        declared_error: |Σφ + φ0 − F(x)| with the method's own φ0.
        zero_baseline_error: |Σφ − (F(x) − F(0))|.
        random_baseline_error: the same with a random baseline, for methods that use one.
        forwards, backwards: rows through the model.
        seconds: median wall time of one attribution.
        peak_bytes: most bytes allocated at once during one attribution; measured on the
            first example.
        error: what the method raised, if it did.
        warnings: what it warned of.
    """

    model: str
    method: str
    example: int
    label: str
    target: int
    value: float
    bias: float | None = None
    declared_error: float | None = None
    zero_baseline_error: float | None = None
    random_baseline_error: float | None = None
    forwards: int | None = None
    backwards: int | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


class Records:
    """A folder that holds ``records.jsonl`` and ``provenance.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "records.jsonl"

    def start(self, facts: dict[str, Any]) -> None:
        """Make the folder, with the run's provenance and no records yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "provenance.json").write_text(json.dumps(facts, indent=2) + "\n")
        self.path.write_text("")

    def append(self, record: Any) -> None:
        """Add one record; it is on disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text().splitlines():
            yield json.loads(line)


def provenance(**facts: Any) -> dict[str, Any]:
    """What it takes to run this again."""
    return {
        "command": " ".join(["python -m comparisons", *sys.argv[1:]]),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in PACKAGES},
        **facts,
    }


PACKAGES = (
    "captum-ilin",
    "torch",
    "captum",
    "numpy",
    "scikit-learn",
    "scikit-image",
    "transformers",
)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git says about this checkout; None outside one."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
