"""A kept run reads like the run that it was made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("PIL", reason="the comparisons' extra is not installed")

from PIL import Image

from comparisons.__main__ import main
from comparisons.records import read_records
from tests.comparisons.test_records import group, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    figures = folder / "report" / "figures"
    figures.mkdir(parents=True)
    plan = {"format": 1, "suite": {"name": "tiny"}, "networks": {}}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "provenance.json").write_text("[]")
    for name in ("summary.md", "table.csv", "table.md", "table.tex", "ranks.csv"):
        (folder / "report" / name).write_text(name)
    Image.linear_gradient("L").save(figures / "steps.png")
    written(folder, group(0), group(1))
    written(folder, group(2), rank=1)
    return folder


def test_a_kept_run_has_the_same_rows(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "kept"
    assert main(["keep", str(run), "--to", str(to)]) == 0
    assert read_records(to).rows == read_records(run).rows
    assert sorted(path.name for path in to.iterdir()) == [
        *("plan.json", "provenance.json", "ranks.csv"),
        *("records-0.jsonl.xz", "records-1.jsonl.xz", "steps.png", "summary.md"),
        *("table.csv", "table.md", "table.tex"),
    ]


def test_keeping_again_leaves_nothing_of_before(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "kept"
    main(["keep", str(run), "--to", str(to)])
    (run / "records-1.jsonl").unlink()
    main(["keep", str(run), "--to", str(to)])
    assert read_records(to).rows == read_records(run).rows


def test_a_damaged_kept_file_is_counted(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "kept"
    main(["keep", str(run), "--to", str(to)])
    (to / "records-1.jsonl.xz").write_bytes(b"damaged")
    records = read_records(to)
    assert records.rows == [*group(0), *group(1)]
    assert records.corrupt == 1


def test_a_folder_without_a_report_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"format": 1, "suite": {"name": "tiny"}}))
    with pytest.raises(SystemExit) as stopped:
        main(["keep", str(tmp_path)])
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"has no report. Make it: python -m comparisons report {tmp_path}" in said


def test_a_folder_that_is_no_run_is_never_replaced(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "thesis"
    to.mkdir()
    (to / "chapter.txt").write_text("words")
    with pytest.raises(SystemExit):
        main(["keep", str(run), "--to", str(to)])
    assert "is no results folder of a suite" in " ".join(capsys.readouterr().err.split())
    assert (to / "chapter.txt").read_text() == "words"
