"""The committed run of quick: its tables follow from its records, and the README shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.harness import registered
from comparisons.harness.plan import describe
from comparisons.harness.suitefile import load_suite
from comparisons.records import read_records
from comparisons.report.aggregate import analysed
from comparisons.report.frame import frame_of
from comparisons.report.layout import laid_out
from comparisons.report.markdown import markdown

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "comparisons" / "reference" / "quick"


def test_it_is_a_run_of_the_suite_as_it_stands() -> None:
    plan = json.loads((REFERENCE / "plan.json").read_text())
    registry = registered()
    assert plan["suite"] == json.loads(
        json.dumps(describe(load_suite("quick", registry), registry))
    )


def test_it_was_made_by_the_readme_s_command_from_a_clean_tree() -> None:
    (session,) = json.loads((REFERENCE / "provenance.json").read_text())
    assert session["command"].strip() == "python -m comparisons"
    assert session["dirty"] is False


def test_the_readme_shows_lines_of_its_table() -> None:
    table = (REFERENCE / "table.md").read_text().splitlines()
    readme = (ROOT / "README.md").read_text()
    shown = [line for line in readme.splitlines() if line.startswith("| ")]
    assert len(shown) > 10
    assert set(shown) <= set(table)


@pytest.mark.slow
def test_its_tables_follow_from_its_records() -> None:
    records = read_records(REFERENCE)
    assert records.warning is None
    found = markdown(laid_out(analysed(frame_of(records.rows)).table))
    assert found == (REFERENCE / "table.md").read_text()
