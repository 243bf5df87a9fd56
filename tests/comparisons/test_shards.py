"""Several processes share a run, and leave the records of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the comparisons' extra is not installed")

from comparisons.harness.shards import Shard
from comparisons.records import Records, read_records
from comparisons.records.resultsfolder import ResultsFolder
from tests.comparisons.tiny import suite_file

ROOT = Path(__file__).parents[2]


def test_units_are_dealt_whole_and_once_in_their_order() -> None:
    units = [("net", number) for number in range(23)]
    parts = [Shard(rank, 4).dealt(units) for rank in range(4)]
    assert sorted(unit for part in parts for unit in part) == units
    assert sorted(map(len, parts)) == [5, 6, 6, 6]
    assert all(part == sorted(part) for part in parts)
    assert Shard().dealt(units) == units


def test_no_process_gets_one_kind_only() -> None:
    units = [(number, kind) for number in range(50) for kind in ("fast", "slow")]
    kinds = [kind for _, kind in Shard(0, 2).dealt(units)]
    assert 10 < kinds.count("slow") < 40


def started(folder: Path, processes: int) -> str:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command = [sys.executable, *torchrun, str(processes)] if processes > 1 else [sys.executable]
    done = subprocess.run(
        [
            *command,
            "-m",
            "tests.comparisons.tiny",
            str(suite_file(folder)),
            str(folder / "out"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def rows(records: Records) -> list[str]:
    return sorted(map(repr, records.rows))


@pytest.mark.slow
def test_two_processes_leave_the_records_of_one(tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder, processes in ((alone, 1), (shared, 2)):
        folder.mkdir()
        said = started(folder, processes)
        assert said.count("36 of 36 cells are recorded") == 1  # one process speaks
    one, two = read_records(alone / "out"), read_records(shared / "out")
    assert rows(two) == rows(one)
    assert two.duplicates == 0
    files = sorted(path.name for path in (shared / "out").glob("records-*"))
    assert files == ["records-0.jsonl", "records-1.jsonl"]
    (session,) = ResultsFolder(shared / "out").provenance()
    assert session["world_size"] == 2

    (shared / "out" / "records-1.jsonl").unlink()  # a shard is lost
    started(shared, 1)
    assert rows(read_records(shared / "out")) == rows(one)
