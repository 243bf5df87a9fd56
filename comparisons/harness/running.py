"""A run: a suite's cells that are not finished yet, measured and recorded one after another.

Interrupt it whenever you like: what is recorded stays, and the same run goes on from there.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from comparisons.harness.baselines import expect_baselines
from comparisons.harness.beginning import Run, begin, sign
from comparisons.harness.estimate import paces_of, seconds_of, spoken
from comparisons.harness.exits import Exit
from comparisons.harness.loading import examples_of, load_networks
from comparisons.harness.measured import measured
from comparisons.harness.plan import cells, units
from comparisons.harness.progress import Bar
from comparisons.harness.registry import Registry, registered
from comparisons.harness.shards import joined
from comparisons.harness.suitefile import load_suite
from comparisons.harness.summary import print_summary
from comparisons.plural import counted
from comparisons.records import Writer, read_records
from comparisons.records.resultsfolder import ResultsFolder
from comparisons.records.warned import Warned, append_warned
from comparisons.threads import threads_set

if TYPE_CHECKING:
    from collections.abc import Collection

    from comparisons.harness.plan import Unit
    from comparisons.harness.suite import MeasureChoice

__all__ = ["run"]


def run(
    suite: str | Path = "quick",
    out: Path | str | None = None,
    *,
    registry: Registry | None = None,
    models: Collection[str] | None = None,
    methods: Collection[str] | None = None,
    measures: Collection[str] | None = None,
    examples: int | None = None,
    device: str = "cpu",
    threads: int = 1,
    max_minutes: float | None = None,
    retry_failed: bool = False,
    fresh: bool = False,
    report: bool = True,
    console: Console | None = None,
) -> Exit:
    """Run what is left of a suite, and report.

    Args:
        suite: the name of a suite of the harness, or the path of your own.
        out: the results folder; ``results/<suite>`` unless told.
        registry: what the suite may name; ``registered()`` and what you add to it.
        models, methods, measures: only these of the suite.
        examples: of each model, in place of the suite's number.
        device: "cpu" or "cuda".
        threads: PyTorch's, while it runs. One by default: sums then round alike on every
            machine, and small networks are no faster with more.
        max_minutes: no new unit is begun after them.
        retry_failed: whether cells that failed are run again.
        fresh: whether a folder that is there is renamed and a new one begun.
        report: whether tables and figures are made at the end.
        console: what it speaks to.

    Returns:
        What the command exits with.

    Raises:
        SuiteError: the suite does not hold what is asked for.
        FolderError: the folder holds something else, or another run is in it.
    """
    known = registry or registered()
    whole = load_suite(suite, known)
    part = whole.restricted(
        models=models, methods=methods, measures=measures, examples=examples
    )
    folder = ResultsFolder(Path(out) if out else Path("results") / whole.name)
    with joined(device) as shard, threads_set(threads), ExitStack() as holding:
        speaking = (console or Console()) if shard.is_first else Console(quiet=True)
        networks = load_networks(part, known, device)
        expect_baselines(whole, networks)
        planned = cells(part, units(part, examples_of(networks)))
        this = Run(part, known, networks, folder, shard, speaking, planned, retry_failed)
        shard.first_does(lambda: begin(this, whole, holding, fresh=fresh))
        left = this.left(read_records(folder.path))
        if left:
            shard.first_does(lambda: sign(this, device))
        shard.wait()  # nobody writes before all have read
        try:
            _measure(this, left, max_minutes)
        except KeyboardInterrupt:
            return _interrupted(this)
        shard.wait()
        return _end(this, report=report) if shard.is_first else Exit.FINE


def _measure(
    this: Run, left: dict[Unit, list[MeasureChoice]], max_minutes: float | None
) -> None:
    """This process's share of what is left, until it is done or its time is up."""
    deadline = time.monotonic() + 60 * (max_minutes if max_minutes is not None else 1e9)
    costs = _costs(this, left)
    own = this.shard.dealt(left)
    with (
        Writer(this.folder.records_file(this.shard.rank)) as writer,
        Bar(this.console, own, costs) as bar,
    ):
        for unit in own:
            if time.monotonic() >= deadline:
                return
            bar.begin(unit)
            _record(this, unit, left[unit], writer)
            bar.finish(unit)


def _record(this: Run, unit: Unit, choices: list[MeasureChoice], writer: Writer) -> None:
    """A unit's rows and, once each, the warnings that come before them."""
    network = this.networks[unit.model, unit.model_seed]
    warnings = this.folder.warnings_file(this.shard.rank)
    heard: set[str] = set()
    written: set[str] = set()
    for group in measured(this.suite, this.registry, unit, choices, network, heard):
        append_warned(warnings, [Warned(*unit, text) for text in sorted(heard - written)])
        written |= heard
        writer.append(group)
    writer.flush()


def _costs(this: Run, left: dict[Unit, list[MeasureChoice]]) -> dict[Unit, float]:
    """Expected seconds of every unit that is left; the first process tells them."""
    if not this.shard.is_first:
        return {}
    total = sum(len(choices) for choices in this.planned.values())
    waiting = sum(len(choices) for choices in left.values())
    this.say(
        f"Suite {this.suite.name}: {counted(total, 'cell')} (an example under a "
        f"method, and a measure of it), {total - waiting} of them finished before."
    )
    if not left:
        return {}
    paces = paces_of(this.networks)
    costs = {unit: seconds_of(unit, left[unit], this.registry, paces) for unit in left}
    size = this.shard.world_size
    shared = f" in {size} processes" if size > 1 else ""
    took = spoken([sum(costs.values()) / size])
    this.say(f"{counted(waiting, 'cell')} to run{shared}; expected time about {took}.")
    return costs


def _interrupted(this: Run) -> Exit:
    waiting = sum(len(c) for c in this.left(read_records(this.folder.path)).values())
    this.say(
        f"Interrupted; {counted(waiting, 'cell is left', 'cells are left')}. The same command "
        "goes on from here."
    )
    return Exit.INTERRUPTED


def _end(this: Run, *, report: bool) -> Exit:
    """Tell how it went, and report."""
    records = read_records(this.folder.path)
    found = print_summary(this.suite, this.planned, records, this.folder.path, this.console)
    if report and records.groups:
        _report(this)
    return found


def _report(this: Run) -> None:
    from comparisons.report import report

    report(this.folder.path, this.console)
