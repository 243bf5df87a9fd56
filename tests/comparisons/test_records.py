"""Records survive whatever stops their writing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from comparisons.records import Row, Writer, cell_of, read_records
from comparisons.records.resultsfolder import FORMAT, FolderError, ResultsFolder

if TYPE_CHECKING:
    from pathlib import Path

ROW = Row("tiny-0", "noise", "net", 0, "Saliency", "abc", 0, 1, "total", "", "def", value=1.5)
SUITE = {"name": "tiny", "about": "a", "seed": 0, "methods": {"Saliency": "abc"}}
NETWORKS = {"net": {"weights": "aaa", "data": "bbb"}}


def group(sample: int, size: int = 3, **changes: object) -> list[Row]:
    row = replace(ROW, sample=sample, parts=size, **changes)  # type: ignore[arg-type]
    return [replace(row, part=part, seed=part) for part in range(size)]


def written(folder: Path, *groups: list[Row], rank: int = 0) -> Path:
    path = folder / f"records-{rank}.jsonl"
    with Writer(path) as writer:
        for rows in groups:
            writer.append(rows)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path, group(0), group(1, value=None, reason="no mask"))
    written(tmp_path, group(2, 1), rank=1)
    records = read_records(tmp_path)
    assert records.rows == [*group(0), *group(1, value=None, reason="no mask"), *group(2, 1)]
    assert records.warning is None
    assert not records.failed


def test_cut_at_any_byte_whole_groups_stay_and_the_rest_is_written_again(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, group(0), group(1))
    whole = path.read_bytes()
    first = sum(len(line) for line in whole.splitlines(keepends=True)[:3])
    for cut in [
        *range(first, len(whole) - 1, 37),
        first + 1,
        len(whole) - 2,
    ]:  # without its last newline a group is whole
        path.write_bytes(whole[:cut])
        assert read_records(tmp_path).rows == group(0)
        written(tmp_path, group(1))
        assert read_records(tmp_path).rows == [*group(0), *group(1)]


def test_corrupt_lines_and_broken_groups_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, group(0), group(1), group(2))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b"\xff\x00 not JSON\n"  # inside the second group
    lines.insert(0, b'{"a": 1}\n')
    lines.insert(1, b"[]\n")
    path.write_bytes(b"".join(lines))
    records = read_records(tmp_path)
    assert records.rows == [*group(0), *group(2)]
    assert (records.corrupt, records.broken) == (4, 1)  # and the second group's last line
    assert records.warning == (
        "Left out 4 corrupt or half-written lines and 1 group that is not whole, as a killed "
        "run leaves them; their cells count as not run."
    )


def test_a_group_that_another_one_interrupts_is_broken(tmp_path: Path) -> None:
    path = written(tmp_path, group(0), group(1))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:], lines[2]]))
    records = read_records(tmp_path)
    assert records.rows == group(1)
    assert (records.corrupt, records.broken) == (1, 1)


def test_the_first_of_two_groups_wins(tmp_path: Path) -> None:
    written(tmp_path, group(0), group(0, value=2.0))
    written(tmp_path, group(0, value=3.0), rank=1)
    records = read_records(tmp_path)
    assert records.rows == group(0)
    assert records.duplicates == 2


def test_a_failed_group_gives_way_to_a_later_one(tmp_path: Path) -> None:
    failed = group(0, 1, value=None, reason="RuntimeError: no", failed=True)
    written(tmp_path, failed)
    assert read_records(tmp_path).failed == {cell_of(failed[0]): "RuntimeError: no"}
    written(tmp_path, group(0), failed)
    assert read_records(tmp_path).rows == group(0)


def test_a_row_of_other_fields_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, group(0, 1))
    line = path.read_text()
    for old, new in (
        ('"sample"', '"simple"'),
        ('"part": 0', '"part": 1'),
        ('"value": 1.5', '"value": "1.5"'),
    ):
        assert old in line
        path.write_text(line.replace(old, new))
        assert read_records(tmp_path).corrupt == 1


def test_a_number_that_json_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        written(tmp_path, group(0, value=float("nan")))
    assert read_records(tmp_path).rows == []


def test_a_folder_is_opened_again_for_the_same_suite(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "new" / "run")
    folder.open(SUITE, NETWORKS)
    folder.open({**SUITE, "about": "reworded"}, {"other": {"weights": "x", "data": "y"}})
    plan = folder.plan()
    assert plan["format"] == FORMAT
    assert plan["suite"]["about"] == "reworded"
    assert set(plan["networks"]) == {"net", "other"}


def opened(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "run")
    folder.open(SUITE, NETWORKS)
    return folder


def cure(folder: ResultsFolder) -> str:
    return (
        "Nothing was changed. Choose another folder with --out, or begin anew with --fresh, "
        f"which first renames this one to {folder.path}.1."
    )


def test_another_suite_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    before = (folder.path / "plan.json").read_bytes()
    with pytest.raises(FolderError) as raised:
        folder.open({**SUITE, "seed": 1, "methods": {"IG": "x"}}, NETWORKS)
    assert str(raised.value) == (
        f"{folder.path} holds records of another suite than 'tiny' now: seed: was 0, is 1; "
        "methods.Saliency: was abc, is not there; methods.IG: was not there, is x. "
        + cure(folder)
    )
    assert (folder.path / "plan.json").read_bytes() == before


def test_other_weights_are_refused(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    with pytest.raises(FolderError) as raised:
        folder.open(SUITE, {"net": {"weights": "zzz", "data": "bbb"}})
    assert str(raised.value) == (
        f"{folder.path} holds records of other weights or data: net.weights: was aaa, is zzz. "
        + cure(folder)
    )


def test_another_format_is_refused(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    (folder.path / "plan.json").write_text('{"format": 99}')
    with pytest.raises(FolderError) as raised:
        folder.open(SUITE, NETWORKS)
    assert str(raised.value) == (
        f"{folder.path / 'plan.json'}: expected format {FORMAT}, got 99: another version of "
        f"the comparisons wrote it. {cure(folder)}"
    )


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("words")
    folder = ResultsFolder(tmp_path / "run")
    with pytest.raises(FolderError) as raised:
        folder.open(SUITE, NETWORKS)
    assert str(raised.value) == (
        f"{folder.path} is no results folder of a suite: plan.json cannot be read "
        f"(FileNotFoundError). {cure(folder)}"
    )


def test_a_plan_that_was_never_whole_is_no_hindrance(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    (tmp_path / "plan.part").write_text('{"form')
    folder.open(SUITE, NETWORKS)
    assert folder.plan()["suite"] == SUITE


def test_setting_aside_loses_nothing(tmp_path: Path) -> None:
    first = opened(tmp_path).set_aside()
    second = opened(tmp_path).set_aside()
    assert (first, second) == (tmp_path / "run.1", tmp_path / "run.2")
    assert (tmp_path / "run.1" / "plan.json").exists()
    assert ResultsFolder(tmp_path / "run").set_aside() is None


def test_provenance_has_an_entry_for_each_session(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    folder.add_provenance({"commit": "a"})
    folder.add_provenance({"commit": "b"})
    assert [entry["commit"] for entry in folder.provenance()] == ["a", "b"]
