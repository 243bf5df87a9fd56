"""The example of a method and a model of one's own runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.records import read_records

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_method_and_a_model_of_ones_own(tmp_path: Path) -> None:
    out = tmp_path / "own"
    done = subprocess.run(
        [sys.executable, "-m", "comparisons.examples.own_method", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = read_records(out)
    assert {row.method for row in records.rows} == {"ILIN", "Saliency", "CentredGradient"}
    assert {row.model for row in records.rows} == {"random_net"}
    assert len(records.groups) == 3 * 3 * 2
    assert (out / "report" / "index.html").exists()
