"""The committed run: its tables follow from its records, and the page says what they say."""

from __future__ import annotations

import json
import lzma
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from comparisons.embedding.tables import of_kind
from comparisons.representer.captums import INFLUENCE, TRACIN
from comparisons.representer.detection import COEFFICIENT, LOSS, RANDOM, TRACIN_LAST
from comparisons.representer.statements import margins, statements
from comparisons.representer.tables import tables
from comparisons.representer.timing import OURS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "comparisons" / "reference" / "representer"
DIGITS = ROOT / "comparisons" / "reference" / "representer-digits"
PAGE = ROOT / "docs" / "representer.md"


def read(folder: Path) -> list[dict[str, Any]]:
    text = lzma.decompress((folder / "records.jsonl.xz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return read(REFERENCE)


@pytest.mark.parametrize(
    ("folder", "title"),
    [(REFERENCE, "Fashion-MNIST"), (DIGITS, "scikit-learn's 8×8 digits")],
    ids=["fashion", "digits"],
)
def test_tables_and_summary_follow_from_the_records(folder: Path, title: str) -> None:
    records = read(folder)
    assert tables(records) == (folder / "table.md").read_text()
    said = statements(records, title)
    assert "".join(f"- {line}\n" for line in said) == (folder / "summary.md").read_text()


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        (REFERENCE, "python -m comparisons representer --data fashion"),
        (DIGITS, "python -m comparisons representer"),
    ],
    ids=["fashion", "digits"],
)
def test_it_was_made_by_the_page_s_command_from_a_clean_tree(
    folder: Path, command: str
) -> None:
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts["command"] == command
    assert facts["dirty"] is False
    assert facts["seeds"] == [0, 1, 2]
    assert facts["flipped"] == [0.1, 0.2, 0.3, 0.4]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000


def test_the_page_tells_its_command() -> None:
    assert "\npython -m comparisons representer --data fashion\n" in PAGE.read_text()


def test_the_promised_exactness_was_reached(records: list[dict[str, Any]]) -> None:
    refits = of_kind(records, "refit")
    assert max(row["stationarity"] for row in refits) <= 1e-9
    assert max(max(row["identity"], row["test_identity"]) for row in refits) <= 1e-6
    assert max(row["completeness_error"] for row in of_kind(records, "share")) <= 1e-8


def test_flipped_labels_are_found_as_the_page_promises(records: list[dict[str, Any]]) -> None:
    chosen = f"{COEFFICIENT}, λ = 0.1"
    assert min(margins(records, chosen, RANDOM)) > 0.1
    assert min(margins(records, chosen, LOSS)) >= 0
    for rival in (LOSS, f"{TRACIN}, 5 checkpoints", TRACIN_LAST, INFLUENCE):
        assert statistics.fmean(margins(records, chosen, rival)) > 0, rival


def test_a_test_image_costs_less_than_with_captum_s_methods(
    records: list[dict[str, Any]],
) -> None:
    for row in of_kind(records, "time", method=OURS):
        assert statistics.median(row["ratios"]) > 1


def test_the_page_shows_lines_of_the_tables_and_no_other_figures() -> None:
    files = (REFERENCE / "table.md", REFERENCE / "summary.md", DIGITS / "summary.md")
    told = "\n".join(path.read_text() for path in files)
    page = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
    page = page.partition("## What it finds")[2]
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(lines) >= 8
    assert set(lines) <= set(told.splitlines())
    prose = "\n".join(line for line in page.splitlines() if not line.startswith("| "))
    figures = re.findall(r"\d+\.\d+|\d+ %", re.sub(r"arXiv.\d+\.\d+|abs/\d+\.\d+", "", prose))
    assert len(figures) >= 8
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", told), figure
