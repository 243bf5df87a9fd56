"""The whole report of a folder: its files, its page, its summary, the comparison of two."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("matplotlib", reason="the comparisons' extra is not installed")
pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from rich.console import Console

from comparisons.__main__ import main
from comparisons.measures import MEASURES
from comparisons.models import MODELS
from comparisons.models.network import Model, Network
from comparisons.records.warned import Warned, append_warned
from comparisons.report import compare, report, writing
from comparisons.report.figures import grid
from comparisons.report.figures.drawing import shown
from comparisons.report.frame import frame_of
from tests.comparisons import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comparisons.records import Row


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, measure in synthetic.MEASURES.items():
        monkeypatch.setitem(MEASURES, name, measure)
    monkeypatch.setattr(grid, "MODELS", {})


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of a report's time; what is tested is what stands beside them."""
    monkeypatch.setattr(writing, "figures", lambda *_: [])


def _folder(folder: Path, rows: list[Row]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    found = synthetic.groups(rows)
    half = len(found) // 2
    for rank, part in enumerate((found[:half], found[half:])):
        lines = [json.dumps(asdict(row)) + "\n" for group in part for row in group]
        (folder / f"records-{rank}.jsonl").write_text("".join(lines))
    facts = [{"commit": "abc", "dirty": False, "versions": {"torch": "2.13.0"}}]
    (folder / "provenance.json").write_text(json.dumps(facts))
    return folder


def _few() -> list[Row]:
    return synthetic.rows(("digits_cnn",), seeds=2, examples=3)


def _said(call: Callable[[Console], int]) -> tuple[int, str]:
    stream = io.StringIO()
    code = call(Console(file=stream, width=100))
    return code, stream.getvalue()


class _Links(HTMLParser):
    """What a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.fetched += [str(value) for name, value in attrs if name in {"src", "srcset"}]
        self.fetched += [str(v) for name, v in attrs if tag == "link" and name == "href"]


@pytest.mark.slow
def test_a_report_is_whole_self_contained_and_the_same_twice(tmp_path: Path) -> None:
    first = _folder(tmp_path / "first", _few())
    second = _folder(tmp_path / "second", sorted(_few(), key=lambda row: row.sample))
    code, said = _said(lambda console: report(first, console))
    assert code == 0
    assert max(map(len, said.split(str(tmp_path))[0].splitlines())) <= 100
    assert report(second, Console(quiet=True)) == 0
    files = sorted(p.relative_to(first) for p in (first / "report").rglob("*") if p.is_file())
    assert {"index.html", "rows.csv", "table.csv", "table.md", "table.tex", "pairs.csv"} <= {
        path.name for path in files
    }
    for path in files:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path
    page = (first / "report" / "index.html").read_text()
    links = _Links()
    links.feed(page)
    assert links.scripts == 0
    assert links.fetched
    assert all(link.startswith("data:image/png;base64,") for link in links.fetched)
    assert "://" not in page
    for text in ("commit", "abc", "made up (Nobody 2020)", "not registered", "2.13.0"):
        assert text in page


@pytest.mark.usefixtures("_no_figures")
def test_the_page_escapes_what_an_error_says(tmp_path: Path) -> None:
    rows = [
        replace(row, value=None, failed=True, reason="ValueError: <script>alert(1)</script>")
        if row.method == "Mine" and row.step is None
        else row
        for row in _few()
        if row.metric in {"gini", "completeness"}
    ]
    folder = _folder(tmp_path, rows)
    assert report(folder, Console(quiet=True)) == 0
    page = (folder / "report" / "index.html").read_text()
    assert "<script>" not in page
    assert "ValueError: &lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.usefixtures("_no_figures")
def test_the_summary_follows_the_numbers(tmp_path: Path) -> None:
    report(_folder(tmp_path / "a", _few()), Console(quiet=True))
    text = (tmp_path / "a" / "report" / "summary.md").read_text()
    assert "Holds up to rounding: ILIN (" in text
    assert "Does not hold: IG-10 (" in text
    assert "digits_cnn: the same. Of" in text
    assert "deletion (auc) ↓: Mine" in text
    assert "2 model seeds: the intervals allow for so few" in text
    assert "a check, not a ranking" in text
    changed = [
        replace(row, value=row.value + 1.0)
        if row.method == "InputXGradient" and row.value is not None
        else row
        for row in _few()
    ]
    report(_folder(tmp_path / "b", changed), Console(quiet=True))
    text = (tmp_path / "b" / "report" / "summary.md").read_text()
    assert "digits_cnn: not the same." in text
    assert "InputXGradient (1.00)" in text.split("Does not hold")[1].split("\n")[0]


@pytest.mark.usefixtures("_no_figures")
def test_the_page_tells_what_methods_warned_of(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _few())
    assert report(folder, Console(quiet=True)) == 0
    path = folder / "report" / "index.html"
    assert "What methods warned of" not in path.read_text()
    said = [Warned("digits_cnn", 0, "Mine", sample, "UserWarning: <x>") for sample in (0, 1)]
    append_warned(folder / "warnings-0.jsonl", said)
    assert report(folder, Console(quiet=True)) == 0
    line = "<td>digits_cnn</td><td>Mine</td><td>UserWarning: &lt;x&gt;</td><td>2</td>"
    assert line in path.read_text()


@pytest.mark.usefixtures("_no_figures")
def test_one_of_a_thing_is_no_plural(tmp_path: Path) -> None:
    found = synthetic.rows(("digits_cnn",), seeds=1, examples=1)
    rows = [row for row in found if (row.metric, row.method) == ("gini", "ILIN")]
    _, said = _said(lambda console: report(_folder(tmp_path, rows), console))
    texts = [path.read_text() for path in (tmp_path / "report").glob("*.[mht]*")]
    several = r"\b1 (?:model )?(?:rows|examples|seeds|methods|metrics|models|figures)\b"
    assert not [found for text in (said, *texts) for found in re.findall(several, text)]


def test_a_folder_without_rows_says_what_to_do(tmp_path: Path) -> None:
    code, said = _said(lambda console: report(tmp_path, console))
    assert code == 2
    assert "expected records-<rank>.jsonl with rows of a run; found none" in " ".join(
        said.split()
    )


def test_equal_runs_compare_equal_whatever_their_times(tmp_path: Path) -> None:
    slower = [
        replace(row, value=2 * row.value) if row.metric == "cost" and row.value else row
        for row in _few()
    ]
    first, second = _folder(tmp_path / "a", _few()), _folder(tmp_path / "b", slower)
    code, said = _said(lambda console: compare(first, second, console))
    assert code == 0
    assert "changed" in said


def test_a_change_beyond_the_interval_and_what_is_only_in_one_are_told(tmp_path: Path) -> None:
    worse = [
        replace(row, value=row.value + 0.5)
        if (row.method, row.metric) == ("ILIN", "gini") and row.value is not None
        else row
        for row in _few()
        if row.method != "LRP"
    ]
    first, second = _folder(tmp_path / "a", _few()), _folder(tmp_path / "b", worse)
    code, said = _said(lambda console: compare(first, second, console))
    assert code == 1
    line = next(line for line in said.splitlines() if "gini" in line and "ILIN" in line)
    assert "changed" in line
    assert "0.500" in line
    assert any("LRP" in line and "only in A" in line for line in said.splitlines())


def test_the_grid_draws_registered_networks_and_notes_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)).eval()
    inputs = torch.rand(4, 1, 4, 4)
    network = Network(
        "digits_cnn", model, inputs, list("abcd"), "tiny", "0", np.zeros((4, 4, 4))
    )
    monkeypatch.setattr(grid, "MODELS", {"digits_cnn": Model("digits_cnn", lambda _: network)})
    notes: list[str] = []
    frame = frame_of(synthetic.rows(methods=("ILIN", "Saliency"), seeds=1, examples=2))
    with shown():
        (figure,) = grid.grid_figures(tmp_path, frame, notes)
    assert figure.png.stat().st_size > 3000
    assert notes == ["digits_vit: no attribution grid, the model is not registered."]
    assert "digits_cnn" in MODELS


@pytest.mark.slow
def test_twenty_thousand_rows_are_reported(tmp_path: Path) -> None:
    rows = synthetic.rows()
    assert len(rows) > 20_000
    assert report(_folder(tmp_path, rows), Console(quiet=True)) == 0


@pytest.mark.parametrize("command", [["report"], ["compare", "a"]])
def test_a_folder_without_a_run_is_refused_with_where_runs_are(
    tmp_path: Path,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main([*command, "nothing"])
    said = capsys.readouterr().err
    assert "is no results folder of a suite: it has no plan.json. Name one that" in said
    assert "--fresh" not in said
