"""Provenance: what it takes to run something again."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

__all__ = ["provenance"]

PACKAGES = (
    "captum-ilin",
    "torch",
    "captum",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "transformers",
)


def provenance(**facts: Any) -> dict[str, Any]:
    """The command, the code, the packages and the machine of this process, and more facts."""
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
