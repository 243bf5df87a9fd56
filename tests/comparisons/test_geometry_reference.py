"""The committed runs: their tables follow from their records, and the page says these."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from comparisons.embedding.tables import of_kind
from comparisons.geometry.measuring import INPUT_MARGIN
from comparisons.geometry.statements import statements
from comparisons.geometry.tables import tables

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "comparisons" / "reference"
PAGE = ROOT / "docs" / "geometry.md"
RUNS = {
    "geometry": ("python -m comparisons geometry", "scikit-learn's 8×8 digits"),
    "geometry-fashion": ("python -m comparisons geometry --data fashion", "Fashion-MNIST"),
}


def records(run: str) -> list[dict[str, Any]]:
    text = (KEPT / run / "records.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("run", RUNS)
def test_tables_and_summary_follow_from_the_records(run: str) -> None:
    rows = records(run)
    assert tables(rows) == (KEPT / run / "table.md").read_text()
    said = statements(rows, RUNS[run][1])
    assert "".join(f"- {line}\n" for line in said) == (KEPT / run / "summary.md").read_text()


@pytest.mark.parametrize("run", RUNS)
def test_it_was_made_by_the_page_s_command_from_a_clean_tree(run: str) -> None:
    facts = json.loads((KEPT / run / "provenance.json").read_text())
    assert facts["command"] == RUNS[run][0]
    assert f"\n{facts['command']}\n" in PAGE.read_text()
    assert facts["dirty"] is False
    assert facts["seeds"] == [0, 1, 2]
    assert sum(path.stat().st_size for path in (KEPT / run).iterdir()) < 300_000


@pytest.mark.parametrize("run", RUNS)
def test_the_promised_exactness_was_reached(run: str) -> None:
    rows = records(run)
    for row in of_kind(rows, "network"):
        assert row["cross_entropy_error"] <= 1e-12
        assert row["completeness_error"] <= 1e-12
    for row in of_kind(rows, "reach"):
        assert row["tie"] <= 1e-12
        assert row["certified"] <= row["inside"]
        assert row["inside"] + row["ends_first"] == pytest.approx(1)


def test_where_the_boundary_is_inside_the_network_changes_just_there() -> None:
    for row in of_kind(records("geometry"), "reach", network="16 units"):
        assert row["inside"] > 0.5
        assert row["crossing"][1] == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("run", RUNS)
def test_differences_are_those_of_the_areas(run: str) -> None:
    rows = records(run)
    for row in of_kind(rows, "predictor", predictor=INPUT_MARGIN):
        for name, rival in (
            ("beside_confidence", "softmax confidence"),
            ("beside_feature_margin", "feature margin"),
        ):
            (other,) = of_kind(rows, "predictor", predictor=rival, condition=row["condition"])
            assert row[name][0] == pytest.approx(row["area"][0] - other["area"][0], abs=1e-12)
            assert row[name][1] <= row[name][0] <= row[name][2]


def test_the_page_shows_lines_of_the_tables_and_no_other_figures() -> None:
    told = "\n".join(
        (KEPT / run / name).read_text() for run in RUNS for name in ("table.md", "summary.md")
    )
    page = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
    page = page.partition("## What it finds")[2]
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(lines) >= 8
    assert set(lines) <= set(told.splitlines())
    prose = "\n".join(line for line in page.splitlines() if not line.startswith("| "))
    figures = re.findall(r"\d+\.\d+|\d+ %", prose)
    assert len(figures) >= 8
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", told), figure
