"""The committed expansions: tables follow from records, and the page says what they say."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("rich", reason="the comparisons' extra is not installed")
pytest.importorskip("matplotlib", reason="the pictures' extra is not installed")

from captum_ilin.companions.categorical import expand
from comparisons.categorical import peptides
from comparisons.categorical.statements import of_files, of_peptides
from comparisons.categorical.tables import tables
from comparisons.embedding.tables import of_kind
from comparisons.models.peptides import SEEDS, peptide_net
from comparisons.models.peptides_data import AMINO_ACIDS, GROUPS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "categorical.md"
FOLDERS = {
    "categorical": (of_peptides, "python -m comparisons categorical"),
    "categorical-filetype": (of_files, "python -m comparisons categorical --network filetype"),
}


def records_of(name: str) -> list[dict[str, Any]]:
    kept = ROOT / "comparisons" / "reference" / name / "records.jsonl.xz"
    return [json.loads(line) for line in lzma.decompress(kept.read_bytes()).splitlines()]


@pytest.mark.parametrize("name", FOLDERS)
def test_tables_and_summary_follow_from_the_records(name: str) -> None:
    records, folder = records_of(name), ROOT / "comparisons" / "reference" / name
    assert tables(records) == (folder / "table.md").read_text()
    said = FOLDERS[name][0](records)
    assert "".join(f"- {line}\n" for line in said) == (folder / "summary.md").read_text()


@pytest.mark.parametrize("name", FOLDERS)
def test_it_was_made_by_the_page_s_command_from_a_clean_tree(name: str) -> None:
    facts = json.loads(
        (ROOT / "comparisons" / "reference" / name / "provenance.json").read_text()
    )
    assert facts["command"] == FOLDERS[name][1]
    assert f"\n{facts['command']}\n" in PAGE.read_text()
    assert facts["dirty"] is False


def test_the_page_s_tables_are_the_run_s() -> None:
    lines = set()
    for name in FOLDERS:
        folder = ROOT / "comparisons" / "reference" / name
        lines |= set((folder / "table.md").read_text().splitlines())
        lines |= set((folder / "summary.md").read_text().splitlines())
    shown = [
        line for line in PAGE.read_text().splitlines() if line.startswith(("| ", "- Magika"))
    ]
    assert len(shown) > 20
    assert set(shown) <= lines


def test_the_page_s_numbers_are_the_summary_s() -> None:
    page = re.sub(r"\s+", " ", PAGE.read_text())
    said = " ".join(of_peptides(records_of("categorical")))
    for pattern in (
        r"82\.0 % to 82\.8 % of held-out windows",
        r"larger class is 61\.7 %",
        r"97\.7 % to 98\.5 %",
        r"94\.3 % of",
        r"99\.49 % by less than 3",
        r"the network to 5e-15",
    ):
        assert re.search(pattern, page), pattern
        assert re.search(pattern.replace("of held-out windows", ""), said), pattern


@pytest.mark.parametrize("seed", SEEDS)
def test_the_committed_weights_give_the_records_again(seed: int) -> None:
    records = records_of("categorical")
    (kept,) = of_kind(records, "network", seed=seed)
    found = peptides.of_network(seed)
    assert found.weights == kept["weights"]
    assert found.accuracy == pytest.approx(kept["accuracy"], abs=0.002)
    for name, background in peptides.backgrounds().items():
        rows = of_kind(records, "field", background=name, seed=seed)
        again = expand(
            peptide_net(seed),
            GROUPS,
            order=1,
            background=background,
            target=1,
            class_gauge=True,
            samples=60,
            seed=100 + seed,
        )
        assert again.standard_errors is not None
        off = []
        for row in rows:
            i, a = int(row["position"]) - 1, AMINO_ACIDS.index(row["category"])
            error = float(again.standard_errors[i,][a])
            reach = (error**2 + row["error"] ** 2) ** 0.5
            off.append(abs(float(again.field(i)[a]) - row["field"]) / reach)
        assert max(off) < 6  # of 300 entries, with 60 samples
        assert sum(one < 3 for one in off) / len(off) > 0.97


def test_the_promised_exactness_was_reached() -> None:
    (row,) = of_kind(records_of("categorical"), "check")
    assert row["full_error"] < 1e-10
    assert row["gauge_error"] < 1e-12
    assert row["covered"] == pytest.approx(0.95, abs=0.02)
    assert row["within"] > 0.99
