"""A run: what it records, how it goes on, and what it exits with."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("rich", reason="the comparisons' extra is not installed")

from rich.console import Console

from comparisons.__main__ import main
from comparisons.harness.exits import Exit
from comparisons.harness.loading import load_networks
from comparisons.harness.running import run
from comparisons.harness.suitefile import SuiteError, load_suite
from comparisons.measures.measure import Measure
from comparisons.methods.method import Method
from comparisons.models.network import Model, Network
from comparisons.packages import MissingPackageError
from comparisons.records import Records, read_records
from comparisons.records.resultsfolder import FolderError, ResultsFolder
from comparisons.records.warned import read_warned
from tests.comparisons.tiny import SUITE, network, registry, suite_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparisons.harness.registry import Registry

ROOT = Path(__file__).parents[2]
TINY = (sys.executable, "-m", "tests.comparisons.tiny")
CELLS = 2 * 3 * 3 * 2  # seeds, methods, examples, measures


def ran(
    folder: Path, text: str = SUITE, known: Registry | None = None, **options: Any
) -> tuple[Exit, Records, str]:
    """The exit code, the records, and what was said."""
    console = Console(file=StringIO(), width=200)
    path = suite_file(folder, text)
    code = run(
        path,
        folder / "out",
        registry=known or registry(),
        console=console,
        **{"report": False, **options},
    )
    return code, read_records(folder / "out"), console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """The records of a run without interruption."""
    code, records, _ = ran(tmp_path_factory.mktemp("whole"))
    assert code is Exit.FINE
    return records


def test_every_cell_is_recorded(whole: Records) -> None:
    assert len(whole.groups) == CELLS
    assert len(whole.rows) == CELLS / 2 + CELLS / 2 * 6  # one total, six draws
    row = whole.rows[0]
    assert (row.run, row.dataset, row.model, row.model_seed) == ("tiny-0", "noise", "net", 0)
    assert (row.metric, row.variant, row.failed) == ("total", "", False)
    assert row.target == int(network(0).targets[0])


def test_two_runs_are_the_same(whole: Records, tmp_path: Path) -> None:
    torch.manual_seed(77)  # whatever was drawn before
    np.random.seed(77)
    _, again, _ = ran(tmp_path)
    assert again == whole


def test_methods_are_compared_on_the_same_draws(whole: Records) -> None:
    drawn: dict[Any, set[float | None]] = {}
    for row in whole.rows:
        if row.metric == "draws":
            key = (row.model_seed, row.sample, row.quantity, row.seed)
            drawn.setdefault(key, set()).add(row.value)
    assert all(len(values) == 1 for values in drawn.values())
    assert len(set.union(*drawn.values())) == len(drawn)  # and other draws elsewhere


def test_another_seed_draws_anew(whole: Records, tmp_path: Path) -> None:
    _, other, _ = ran(tmp_path, SUITE.replace('"tiny"', '"tiny"\nseed = 1'))
    pairs = zip(whole.rows, other.rows, strict=True)
    assert not any(a.value == b.value for a, b in pairs if a.metric == "draws")


def test_the_global_generators_stay_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    ran(tmp_path)
    after = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_an_attribution_is_computed_once_for_all_measures(tmp_path: Path) -> None:
    calls: list[int] = []

    class Counting:
        def attribute(self, inputs: Any, target: Any = None) -> Any:
            calls.append(1)
            return inputs

    known = registry().with_method(
        Method("Mine", lambda _: lambda model: Counting(), True, "?")
    )
    ran(tmp_path, SUITE.replace('"Saliency", "InputXGradient", "Noise"', '"Mine"'), known)
    assert len(calls) == 2 * 3


def test_a_second_run_does_only_what_is_left(whole: Records, tmp_path: Path) -> None:
    _, part, _ = ran(tmp_path, methods=["Noise"], examples=2)
    assert len(part.groups) == 2 * 2 * 2
    code, records, said = ran(tmp_path)
    assert code is Exit.FINE
    assert f"{CELLS} cells" in said
    assert "8 of them finished before" in said
    assert f"{CELLS - 8} cells to run; expected time about " in said
    assert records.groups == whole.groups
    assert records.duplicates == 0
    sessions = ResultsFolder(tmp_path / "out").provenance()
    assert len(sessions) == 2
    assert {"command", "commit", "dirty", "dtype", "threads", "world_size"} <= set(sessions[0])
    assert sessions[0]["networks"]["net seed 0"]["weights"] == network(0).weights_hash
    ran(tmp_path)  # nothing is left, nothing is written
    assert len(ResultsFolder(tmp_path / "out").provenance()) == 2


def test_more_examples_than_there_are(tmp_path: Path) -> None:
    code, records, _ = ran(tmp_path, examples=50)
    assert code is Exit.FINE
    assert {row.sample for row in records.rows} == set(range(5))


def broken(raises: Callable[[], Any]) -> Any:
    """A method that raises."""

    class Broken:
        def attribute(self, inputs: Any, target: Any = None) -> Any:
            return raises()

    return Method("Broken", lambda _: lambda model: Broken(), True, "fails")


def no_hooks() -> Any:
    raise RuntimeError(f"no hooks\nin {object()}")


BROKEN = SUITE.replace('"Noise"', '"Broken"')


def test_a_failed_cell_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    known = registry().with_method(broken(no_hooks))
    code, records, said = ran(tmp_path, BROKEN, known)
    assert code is Exit.FAILED
    assert len(records.groups) == CELLS
    assert set(records.failed.values()) == {"RuntimeError: no hooks in <object object at 0x…>"}
    assert len(records.failed) == 2 * 3 * 2
    assert "Broken on net: 12 cells failed: RuntimeError: no hooks in" in said
    assert all(row.value is None for row in records.rows if row.method == "Broken")


def test_a_failure_that_the_suite_knows_is_fine(tmp_path: Path) -> None:
    known = registry().with_method(broken(no_hooks))
    text = 'known_failures = [["Broken", "net"]]' + BROKEN
    code, _, said = ran(tmp_path, text, known)
    assert code is Exit.FINE
    assert "Broken on net: 12 cells failed, as the suite knows: RuntimeError" in said


def test_failed_cells_are_run_again_only_when_asked(whole: Records, tmp_path: Path) -> None:
    ran(tmp_path, BROKEN, registry().with_method(broken(no_hooks)))
    mended = registry().with_method(broken(lambda: torch.ones(1, 6)))
    code, records, _ = ran(tmp_path, BROKEN, mended)
    assert (code, len(records.failed)) == (Exit.FAILED, 12)
    code, records, said = ran(tmp_path, BROKEN, mended, retry_failed=True)
    assert (code, len(records.failed)) == (Exit.FINE, 0)
    assert "12 cells to run" in said


def test_an_error_of_a_measure_is_its_own(tmp_path: Path) -> None:
    def fails(case: Any) -> Any:
        yield from ()
        raise KeyError("blur")

    known = registry().with_measure(Measure("fails", "axiomatic", {}, fails, "?"))
    code, records, _ = ran(tmp_path, SUITE + '[[measures]]\nname = "fails"\n', known)
    assert code is Exit.FAILED
    assert {cell.metric for cell in records.failed} == {"fails"}
    assert set(records.failed.values()) == {"KeyError: 'blur'"}


def test_an_undefined_metric_is_no_failure(tmp_path: Path) -> None:
    def undefined(method: Any, network: Any) -> str | None:
        return "no mask"

    known = registry().with_measure(
        Measure("masked", "localisation", {}, lambda case: [], "?", undefined=undefined)
    )
    code, records, _ = ran(tmp_path, SUITE + '[[measures]]\nname = "masked"\n', known)
    assert code is Exit.FINE
    rows = [row for row in records.rows if row.metric == "masked"]
    assert {(row.value, row.reason, row.failed) for row in rows} == {(None, "no mask", False)}


def warns() -> Any:
    warnings.warn(f"hooks on {object()}", stacklevel=2)
    return torch.ones(1, 6)


def test_what_methods_warn_of_is_kept(tmp_path: Path) -> None:
    known = registry().with_method(broken(warns))
    ran(tmp_path, BROKEN, known, examples=2)
    ran(tmp_path, BROKEN, known)
    line = ("net", "Broken", "UserWarning: hooks on <object object at 0x…>", 6)
    assert read_warned(tmp_path / "out") == [line]
    file = tmp_path / "out" / "warnings-0.jsonl"
    assert len(file.read_text().splitlines()) == 6  # once for an example, not for a measure
    file.write_text(file.read_text() + file.read_text()[:150])  # cut off, and said again
    assert read_warned(tmp_path / "out") == [line]


def reads(case: Any, baseline: str) -> Any:
    yield from ()


def test_a_baseline_that_no_network_has_is_refused(tmp_path: Path) -> None:
    known = registry().with_measure(
        Measure("reads", "axiomatic", {}, reads, "?", defaults={"baseline": "zero"})
    )
    text = SUITE + '[[measures]]\nname = "reads"\nbaseline = "zeero"\n'
    with pytest.raises(SuiteError) as refused:
        ran(tmp_path, text, known)
    assert str(refused.value) == (
        "The suite tiny: reads baseline=zeero: unknown baseline 'zeero'. Did you mean zero or "
        "other?"
    )
    assert not (tmp_path / "out").exists()
    known = known.with_model(Model("absent", unloadable))  # which may have one of that name
    assert ran(tmp_path, text + '[[models]]\nname = "absent"\n', known)[0] is Exit.FAILED


def unloadable(seed: int | None) -> Network:
    raise MissingPackageError("It needs magika. Install it with: python -m pip install magika")


def test_a_model_that_cannot_be_loaded_fails_in_all_its_cells(tmp_path: Path) -> None:
    known = registry().with_model(Model("absent", unloadable))
    code, records, said = ran(tmp_path, SUITE + '[[models]]\nname = "absent"\n', known)
    assert code is Exit.FAILED
    absent = [row for row in records.rows if row.model == "absent"]
    assert len(absent) == 3 * 3 * 2
    assert {row.reason for row in absent} == {
        "MissingPackageError: It needs magika. Install it with: python -m pip install magika"
    }
    assert "absent cannot be loaded, its cells fail: MissingPackageError: It needs" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": nn.Sequential(nn.Linear(6, 4), nn.Unflatten(1, (2, 2)))},
            "NetworkError: net: expected an output of shape (batch, classes), such as (1, 10) "
            "for one example, got (1, 2, 2). Wrap the model in one that gives its logits so.",
        ),
        (
            {"chosen_targets": torch.tensor([0, 1, 2, 3, 4])},
            "NetworkError: net: expected targets from 0 to 3, since its output has shape "
            "(1, 4), got 0 to 4.",
        ),
        (
            {"chosen_targets": torch.tensor([0, 1])},
            "NetworkError: net: expected a target for each of its 5 examples, got 2.",
        ),
    ],
)
def test_a_model_whose_outputs_do_not_fit(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    known = replace(registry(), models={})
    known = known.with_model(
        Model("net", lambda seed: replace(network(seed), **change), (0, 1))
    )
    code, records, _ = ran(tmp_path, known=known)
    assert code is Exit.FAILED
    assert set(records.failed.values()) == {message}


def test_it_stops_when_its_time_is_up(tmp_path: Path) -> None:
    code, records, said = ran(tmp_path, max_minutes=0)
    assert code is Exit.OUT_OF_TIME
    assert not records.groups
    assert f"0 of {CELLS} cells are recorded" in said
    assert f"{CELLS} are left, the same command goes on." in said


def test_ctrl_c_keeps_what_is_recorded(whole: Records, tmp_path: Path) -> None:
    left = [1] * 7

    def interrupt(case: Any) -> Any:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        yield from whole_measure.run(case)

    whole_measure = registry().measures["total"]
    known = registry()
    measures = {**known.measures, "total": replace(whole_measure, run=interrupt)}
    code, records, said = ran(tmp_path, known=replace(known, measures=measures))
    assert code is Exit.INTERRUPTED
    assert "Interrupted; 22 cells are left. The same command goes on from here." in said
    assert len(records.groups) == 14
    code, records, _ = ran(tmp_path)
    assert records.groups == whole.groups


def test_another_suite_needs_another_folder_or_a_fresh_one(tmp_path: Path) -> None:
    ran(tmp_path)
    other = SUITE.replace("count = 3", "count = 4")
    with pytest.raises(FolderError, match=r"measures\.draws count=3"):
        ran(tmp_path, other)
    code, records, said = ran(tmp_path, other, fresh=True)
    assert (code, len(records.groups)) == (Exit.FINE, CELLS)
    assert "out.1 now." in said
    assert len(read_records(tmp_path / "out.1").groups) == CELLS


def test_other_weights_need_another_folder(tmp_path: Path) -> None:
    ran(tmp_path)
    known = replace(registry(), models={"net": Model("net", lambda seed: network(9), (0, 1))})
    with pytest.raises(FolderError, match=r"other weights or data: net seed 0\.weights: was "):
        ran(tmp_path, known=known)


def test_another_commit_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(tmp_path, examples=1)
    monkeypatch.setattr("comparisons.records.provenance._git", lambda *arguments: "cafe")
    code, _, said = ran(tmp_path)
    assert code is Exit.FINE
    assert "Going on with commit cafe what commit " in said


@pytest.mark.parametrize("fresh", [False, True])
def test_two_runs_at_once_need_two_folders(tmp_path: Path, fresh: bool) -> None:
    _, before, _ = ran(tmp_path, examples=1)
    with (
        ResultsFolder(tmp_path / "out").held(),
        pytest.raises(FolderError) as refused,
    ):
        ran(tmp_path, fresh=fresh)
    assert str(refused.value) == (
        f"{tmp_path / 'out'} is in use: another run writes its records there, and two would "
        "measure the same. Wait until it has ended, or choose another folder with --out."
    )
    assert read_records(tmp_path / "out") == before
    assert len(ResultsFolder(tmp_path / "out").provenance()) == 1
    assert not (tmp_path / "out.1").exists()
    assert ran(tmp_path, fresh=fresh)[0] is Exit.FINE  # let go


def killed(folder: Path, wait: float, groups: int) -> None:
    """Kill a real process when it has recorded some groups."""
    process = subprocess.Popen(
        [*TINY, str(suite_file(folder)), str(folder / "out"), str(wait)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        while len(read_records(folder / "out").groups) < groups:
            assert process.poll() is None
            time.sleep(0.01)
        with pytest.raises(FolderError, match="is in use: another run"):
            ran(folder)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_records(whole: Records, tmp_path: Path) -> None:
    killed(tmp_path, 0.05, 5)
    left = read_records(tmp_path / "out")
    assert 5 <= len(left.groups) < CELLS
    path = tmp_path / "out" / "records-0.jsonl"
    path.write_bytes(path.read_bytes()[:-20])  # and its last line is cut
    code, records, said = ran(tmp_path)
    assert code is Exit.FINE
    assert records.groups == whole.groups
    assert records.corrupt == 1
    assert "Left out 1 corrupt or half-written line and " in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--models", "fashon_cnn"],
            "unknown model of the suite quick 'fashon_cnn'. Did you mean fashion_cnn",
        ),
        (
            ["run", "--methods", "DeepLift"],
            "unknown method of the suite quick 'DeepLift'. Did you mean DeepLIFT",
        ),
        (["run", "quik"], "got 'quik'. Did you mean quick?"),
        (["run", "--examples", "0"], "expected a whole number of at least 1, got '0'"),
        (["cost", "--models", "resnet"], "unknown model 'resnet'. Did you mean resnet50"),
        (["report", "nowhere"], "nowhere is no results folder of a suite: it has no plan.json"),
    ],
)
def test_wrong_usage_says_what_is_right(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
    from comparisons.harness.registry import registered

    assert main(["list"]) == 0
    said = capsys.readouterr().out
    known = registered()
    names = (*known.models, *known.methods, *known.measures, "quick", "decoder", "smollm2")
    assert all(name in said for name in names)
    assert 'seeds=5, bins=100, batch_norm="reset"' in said
    keys = {key for each in known.measures.values() for key in each.defaults}
    assert all(f"{key}=" in said for key in keys)


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    said = capsys.readouterr().out
    assert all(f"\n  {int(code)} " in said for code in Exit)


def test_every_tensor_of_a_network_moves_to_the_device(tmp_path: Path) -> None:
    def load(seed: int | None) -> Network:
        found = network(seed)
        ones = torch.ones_like(found.inputs)
        return replace(found, baselines={"one": ones}, masks=ones > 0, twin=found.model)

    known = replace(registry(), models={"net": Model("net", load, (0, 1))})
    suite = load_suite(suite_file(tmp_path), known)
    moved = load_networks(suite, known, "meta")["net", 0]  # a device that every machine has
    assert isinstance(moved, Network)
    assert moved.twin is not None
    assert moved.masks is not None
    tensors = (moved.inputs, moved.targets, moved.masks, moved.baselines["one"])
    parameters = (*moved.model.parameters(), *moved.twin.parameters())
    assert {each.device.type for each in (*tensors, *parameters)} == {"meta"}
