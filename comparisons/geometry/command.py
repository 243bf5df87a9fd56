"""``python -m comparisons geometry``: margins before and after pruning and corruptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markdown import Markdown
from rich.progress import Progress

from comparisons.geometry.figures import save_figures
from comparisons.geometry.measuring import network_record, predictors, read, records_of
from comparisons.geometry.networks import DATA, perceptron
from comparisons.geometry.reaching import reach_of
from comparisons.geometry.statements import statements
from comparisons.geometry.tables import tables
from comparisons.records.jsonlines import JsonLines
from comparisons.records.provenance import provenance
from comparisons.threads import threads_set

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from comparisons.geometry.measuring import Reading
    from comparisons.geometry.networks import Source
    from comparisons.models.tsne_data import Points

__all__ = ["measure_geometry"]

CNN, SMALL = "CNN", "16 units"
REACHED = 50  # images whose way to the boundary is followed


def measure_geometry(
    folder: Path, data: str, *, seeds: list[int], threads: int, console: Console
) -> None:
    """Read, prune, corrupt, read again, draw and write.

    Args:
        folder: where records, tables, figures and the summary go.
        data: one of ``DATA``.
        seeds: of the networks.
        threads: PyTorch's.
        console: what it speaks to.

    Raises:
        MissingPackageError: the data are not there.
    """
    source = DATA[data]
    points = source.points()
    points = points._replace(
        test=points.test[: source.images], test_labels=points.test_labels[: source.images]
    )
    records = JsonLines(folder)
    with threads_set(threads), Progress(console=console, transient=True) as progress:
        records.start(provenance(data=data, seeds=seeds))
        task = progress.add_task("networks", total=2 * len(seeds))
        readings = []
        for seed in seeds:
            readings.append(_measure(records, source, points, seed))
            progress.advance(task)
            _measure_small(records, points, seed)
            progress.advance(task)
    for record in predictors(readings):
        records.append(record)
    rows = list(records)
    said = statements(rows, points.title)
    files = _written(folder, rows, said) + save_figures(folder, rows, readings[0], points)
    console.print(Markdown(tables(rows)))
    for line in said:
        console.print(f"• {line}", highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _measure(records: JsonLines, source: Source, points: Points, seed: int) -> Reading:
    model = source.network(seed).double()
    reading = read(seed, model, points.test.double(), points.test_labels)
    records.append(network_record(CNN, reading))
    for record in records_of(reading):
        records.append(record)
    records.append(reach_of(CNN, seed, model, reading.images[:REACHED]))
    return reading


def _measure_small(records: JsonLines, points: Points, seed: int) -> None:
    """Of the network whose regions are large, only how far they reach."""
    network = perceptron(points.train, points.train_labels, len(points.classes), seed).double()
    records.append(reach_of(SMALL, seed, network, points.test[:REACHED].double()))


def _written(folder: Path, rows: list[dict[str, Any]], said: list[str]) -> list[Path]:
    table, summary = folder / "table.md", folder / "summary.md"
    table.write_text(tables(rows), encoding="utf-8")
    summary.write_text("".join(f"- {line}\n" for line in said), encoding="utf-8")
    return [table, summary]
