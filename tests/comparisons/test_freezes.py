"""The committed run of freezes: made by its suite, and the page tells what its tables say."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import NonFiniteError
from captum_ilin.metrics import drawing_from
from comparisons.harness import registered
from comparisons.harness.plan import describe
from comparisons.harness.suitefile import load_suite
from comparisons.methods import METHODS, Setting
from comparisons.models.decoder import Decoder

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "comparisons" / "reference" / "freezes"
PAGE = ROOT / "docs" / "freezes.md"
TABLES = ("ILIN", "ILIN-tangent", "ILIN-attnlrp", "ILIN-split", "ILIN-reference")
MODELS = (
    *("efficientnet_lite0", "fashion_cnn", "fashion_vit"),
    *("minilm_answers", "smollm2_next_token", "g2p_first_sound"),
)

COLUMNS = (
    *(("deletion", ""), ("insertion", ""), ("srg", ""), ("infidelity", "normalised")),
    *(("infidelity", ""), ("sensitivity_n", ""), ("faithfulness_correlation", "")),
)


def _cells(text: str) -> dict[tuple[str, str], list[str]]:
    """(model, method) → all cells of its rows, in all sections whose title begins with it."""
    found: dict[tuple[str, str], list[str]] = {}
    for section in text.split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        for line in re.findall(r"^\| (.+) \|$", body, flags=re.MULTILINE):
            method, *cells = line.split(" | ")
            found.setdefault((title.partition(":")[0], method), []).extend(cells)
    return found


def test_it_is_a_run_of_the_suite_as_it_stands_from_a_clean_tree() -> None:
    registry = registered()
    plan = json.loads((REFERENCE / "plan.json").read_text())
    described = describe(load_suite("freezes", registry), registry)
    assert plan["suite"] == json.loads(json.dumps(described))
    assert set(TABLES) < set(plan["suite"]["methods"])
    assert tuple(sorted(MODELS)) == tuple(sorted(plan["suite"]["models"]))
    (session,) = json.loads((REFERENCE / "provenance.json").read_text())
    assert session["command"] == "python -m comparisons run freezes"
    assert session["dirty"] is False


def test_the_page_s_tables_are_cells_of_the_report() -> None:
    told, shown = _cells((REFERENCE / "table.md").read_text()), _cells(PAGE.read_text())
    rows = {key: cells for key, cells in shown.items() if key[1] in TABLES}
    assert set(rows) == {(model, method) for model in MODELS for method in TABLES}
    for key, cells in rows.items():
        assert len(cells) >= 4
        assert set(cells) <= set(told[key]), key


def test_the_page_s_figures_are_in_the_report() -> None:
    files = ("table.md", "summary.md", "plan.json")
    told = "\n".join((REFERENCE / name).read_text() for name in files)
    page = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
    prose = "\n".join(line for line in page.splitlines() if not line.startswith("|"))
    figures = re.findall(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?", prose)
    assert len(figures) >= 8
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", told), figure


def test_the_page_s_tests_are_those_of_the_report() -> None:
    with (REFERENCE / "pairs.csv").open(newline="") as file:
        pairs = [row for row in csv.DictReader(file) if "ILIN-reference" in _two(row)]
    section = PAGE.read_text().partition("p after Holm\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, flags=re.MULTILINE)
    assert len(lines) == 12
    for model, other, cells in lines:
        for column, cell in zip(COLUMNS, cells.split(" | "), strict=True):
            (pair,) = (
                row
                for row in pairs
                if (row["model"], row["metric"], row["quantity"]) == (model, *column)
                and other in _two(row)
            )
            assert cell == f"{float(pair['p_holm']):.4f}"
            better = float(pair["effect"]) > 0  # of the first, as the greater one
            better ^= column[0] in ("deletion", "infidelity")
            better ^= pair["first"] != "ILIN-reference"
            assert better or float(cell) > 0.05


def test_only_the_table_between_two_points_is_among_the_best_everywhere_it_has_a_map() -> None:
    shown = _cells(PAGE.read_text().partition("p after Holm\n")[0])
    for method in (*TABLES, "IG-50", "DeepLIFT"):
        cells = [
            cell
            for model in MODELS
            if model != "smollm2_next_token"
            for cell in shown[model, method]
        ]
        assert all(cell.startswith("**") for cell in cells) == (method == "ILIN-reference")
    failed = shown["smollm2_next_token", "ILIN-reference"]
    assert all(cell.startswith("failed") for cell in failed)


def _two(row: dict[str, str]) -> tuple[str, str]:
    return row["first"], row["second"]


def test_declared_sums_hold_under_every_table() -> None:
    told = (REFERENCE / "summary.md").read_text()
    (line,) = re.findall(r"^- Holds up to rounding: (.*)$", told, flags=re.MULTILINE)
    assert all(re.search(rf"\b{name} \(", line) for name in TABLES)


@pytest.mark.parametrize("filler", [False, True], ids=["zeros", "a filler token"])
def test_between_zeros_and_x_a_deep_decoder_overflows_and_from_a_filler_it_does_not(
    filler: bool,
) -> None:
    """At zeros the scale of every RMS norm is 1/√ε, and each of 33 norms passes half of it."""
    with drawing_from(0):
        model = Decoder(width=24, heads=2, depth=16, vocabulary=10).eval()
        inputs, token = torch.randn(1, 5, 24), torch.randn(1, 1, 24)
    model.requires_grad_(False).positions.zero_()
    for norm in (module for module in model.modules() if isinstance(module, nn.RMSNorm)):
        norm.eps = 1e-5  # SmolLM2's
    baseline = Setting((token if filler else torch.zeros_like(token)).expand(1, 5, 24))
    explainer = METHODS["ILIN-reference"].make(baseline)(model)
    if filler:
        found = explainer.attribute(inputs, target=3)
        difference = (model(inputs) - model(baseline.baseline))[0, 3]
        assert float(found.sum() - difference) == pytest.approx(0, abs=1e-4)
    else:
        with pytest.raises(NonFiniteError):
            explainer.attribute(inputs, target=3)
