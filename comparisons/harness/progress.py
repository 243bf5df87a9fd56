"""The bar of a run: its length is expected time, so that what is left is told well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from typing_extensions import Self

    from comparisons.harness.plan import Unit

__all__ = ["Bar"]


class Bar:
    """A progress bar over units; a context manager.

    Args:
        console: where it is drawn; nowhere if the console is quiet.
        units: what will be run.
        costs: how long each is expected to take, where that is known.
    """

    def __init__(
        self, console: Console, units: Sequence[Unit], costs: Mapping[Unit, float]
    ) -> None:
        self._costs = {unit: max(costs.get(unit, 0.0), 1e-3) for unit in units}
        self._progress = Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=console.quiet,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task("", total=sum(self._costs.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, unit: Unit) -> None:
        """Name what is run now."""
        model = unit.model if unit.model_seed is None else f"{unit.model}/{unit.model_seed}"
        self._progress.update(self._task, description=f"{model} {unit.example}: {unit.method}")

    def finish(self, unit: Unit) -> None:
        """Move on by its expected time."""
        self._progress.advance(self._task, self._costs[unit])
