"""The beginning of a run: what it is made of, and the folder it writes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import torch

from comparisons.harness.loading import Unavailable, hashes_of
from comparisons.harness.plan import describe, pending
from comparisons.records.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from rich.console import Console

    from comparisons.harness.loading import Networks
    from comparisons.harness.plan import Unit
    from comparisons.harness.registry import Registry
    from comparisons.harness.shards import Shard
    from comparisons.harness.suite import MeasureChoice, Suite
    from comparisons.records import Records
    from comparisons.records.resultsfolder import ResultsFolder

__all__ = ["Run", "begin", "sign"]


@dataclass(frozen=True)
class Run:
    """What a run is made of.

    Attributes:
        suite: the part of it that was asked for.
        registry: what its names mean.
        networks: loaded.
        folder: where the records go.
        shard: this process among others.
        console: what it speaks to; silent in all processes but the first.
        planned: the measures of each unit.
        retry_failed: whether failed cells count as not run.
    """

    suite: Suite
    registry: Registry
    networks: Networks
    folder: ResultsFolder
    shard: Shard
    console: Console
    planned: Mapping[Unit, list[MeasureChoice]]
    retry_failed: bool

    def left(self, records: Records) -> dict[Unit, list[MeasureChoice]]:
        """The cells that are still to be run."""
        finished = set(records.groups)
        return pending(
            self.planned, finished - set(records.failed) if self.retry_failed else finished
        )

    def say(self, text: str, style: str | None = None) -> None:
        """Speak in plain text; a terminal wraps it as it likes."""
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def begin(this: Run, whole: Suite, holding: ExitStack, *, fresh: bool) -> None:
    """The first process alone: the folder and its plan."""
    if fresh and (aside := this.folder.set_aside()) is not None:
        this.say(f"The earlier results are in {aside} now.")
    this.folder.open(describe(whole, this.registry), hashes_of(this.networks))
    holding.enter_context(this.folder.held())
    _tell_unavailable(this)


def _tell_unavailable(this: Run) -> None:
    for (model, seed), network in this.networks.items():
        if isinstance(network, Unavailable):
            name = model if seed is None else f"{model} seed {seed}"
            this.say(f"{name} cannot be loaded, its cells fail: {network.reason}")


def sign(this: Run, device: str) -> None:
    """The first process alone: who is about to write, on what, with what."""
    entry = provenance(
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        suite=this.suite.name,
        dtype="float32",
        device=torch.cuda.get_device_name() if device == "cuda" else device,
        world_size=this.shard.world_size,
        networks=hashes_of(this.networks),
        descriptions={
            model: network.description
            for (model, _), network in this.networks.items()
            if not isinstance(network, Unavailable)
        },
    )
    earlier = [session["commit"] for session in this.folder.provenance()]
    if earlier and earlier[-1] != entry["commit"]:
        this.say(
            f"Going on with commit {entry['commit']} what commit {earlier[-1]} began: the code "
            "may differ. --fresh begins anew.",
            style="yellow",
        )
    this.folder.add_provenance(entry)
