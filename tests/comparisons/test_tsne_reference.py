"""The committed map: its tables follow from its records, and the page says what they say."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from comparisons.embedding import loadings_of, maps, move, pair_of
from comparisons.embedding.statements import statements
from comparisons.embedding.tables import of_kind, tables
from comparisons.harness import registered
from comparisons.harness.plan import describe
from comparisons.harness.suitefile import load_suite
from comparisons.models.tsne import ENCODERS, digit_points, restored

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "comparisons" / "reference" / "tsne"
SUITE = ROOT / "comparisons" / "reference" / "tsne-suite"
PAGE = ROOT / "docs" / "parametric-tsne.md"


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    text = lzma.decompress((REFERENCE / "records.jsonl.xz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


def test_tables_and_summary_follow_from_the_records(records: list[dict[str, Any]]) -> None:
    assert tables(records) == (REFERENCE / "table.md").read_text()
    said = statements(records, digit_points().title)
    assert "".join(f"- {line}\n" for line in said) == (REFERENCE / "summary.md").read_text()


def test_it_was_made_by_the_page_s_command_from_a_clean_tree() -> None:
    facts = json.loads((REFERENCE / "provenance.json").read_text())
    assert facts["command"] == "python -m comparisons tsne"
    assert f"\n{facts['command']}\n" in PAGE.read_text()
    assert facts["dirty"] is False
    assert facts["seeds"] == list(ENCODERS["tsne_digits"].seeds)


@pytest.mark.parametrize("seed", ENCODERS["tsne_digits"].seeds)
def test_the_committed_weights_give_the_records_again(
    records: list[dict[str, Any]], seed: int
) -> None:
    encoder, points = restored(ENCODERS["tsne_digits"], seed), digit_points()
    found = list(maps.of_encoder(encoder, points, seed, 10))
    kept = of_kind(records, "preservation", map=maps.ENCODER, seed=seed)
    for one, other in zip(found, kept, strict=True):
        # coordinates in float32 may round otherwise elsewhere, and few neighbours change
        assert one.trustworthiness == pytest.approx(other["trustworthiness"], abs=1e-3)
        assert one.continuity == pytest.approx(other["continuity"], abs=1e-3)
    loadings = loadings_of(encoder, points.test)
    for row in of_kind(records, "pair", seed=seed)[::20]:
        pair = pair_of(loadings, row["first"], row["second"])
        # float64 throughout, from the same weights
        assert pair.distance == pytest.approx(row["distance"], rel=1e-9)
        assert float(pair.along(pair.by_bias)) == pytest.approx(row["by_bias"], rel=1e-8)
    for row in of_kind(records, "move", seed=seed)[::20]:
        moved = move(encoder, points.test[row["point"]][None], row["axis"])
        assert moved.step == pytest.approx(row["step"], rel=1e-8)
        assert moved.module == row["module"]


def test_the_promised_exactness_was_reached(records: list[dict[str, Any]]) -> None:
    assert max(row["completeness_error"] for row in of_kind(records, "pair")) <= 1e-10
    assert max(row["completeness_error"] for row in of_kind(records, "encoder")) <= 1e-10
    assert max(row["inside"] for row in of_kind(records, "move")) <= 1e-12
    assert min(row["step"] for row in of_kind(records, "move")) > 0


def test_the_suite_was_run_as_it_stands_from_a_clean_tree() -> None:
    registry = registered()
    plan = json.loads((SUITE / "plan.json").read_text())
    described = describe(load_suite("tsne", registry), registry)
    assert plan["suite"] == json.loads(json.dumps(described))
    (session,) = json.loads((SUITE / "provenance.json").read_text())
    assert session["command"] == "python -m comparisons run tsne"
    assert session["dirty"] is False


def test_the_page_shows_lines_of_the_tables_and_no_other_figures() -> None:
    files = (REFERENCE / "table.md", REFERENCE / "summary.md", SUITE / "summary.md")
    told = "\n".join(path.read_text() for path in files)
    page = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(lines) >= 8
    assert set(lines) <= set(told.splitlines())
    prose = "\n".join(line for line in page.splitlines() if not line.startswith("| "))
    figures = re.findall(r"\d+\.\d+|\d+ %", prose)
    assert len(figures) >= 8
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", told), figure


def test_ilin_is_best_or_tied_on_the_gelu_encoder_s_faithfulness_as_the_page_says() -> None:
    table = (SUITE / "table.md").read_text().partition("### tsne_digits_gelu: faithfulness")[2]
    (row,) = re.findall(r"^\| ILIN \|.*$", table.partition("###")[0], flags=re.MULTILINE)
    cells = row.split(" | ")[1:]
    assert len(cells) == 4
    assert all(cell.startswith("**") for cell in cells)
