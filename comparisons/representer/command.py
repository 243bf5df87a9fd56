"""``python -m comparisons representer``: flipped labels found, refits, times, and pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from rich.markdown import Markdown
from rich.progress import Progress
from torch.utils.data import TensorDataset

from comparisons.models.network import hash_of
from comparisons.models.tsne_data import digit_points, fashion_points, mnist_points
from comparisons.records.jsonlines import JsonLines
from comparisons.records.provenance import provenance
from comparisons.representer.detection import Trained, detections
from comparisons.representer.figures import save_figures
from comparisons.representer.likeness import refits, voters_of_classes
from comparisons.representer.records import NetworkRecord
from comparisons.representer.sharing import shared_votes
from comparisons.representer.statements import statements
from comparisons.representer.tables import tables
from comparisons.representer.timing import times
from comparisons.representer.training import flip, snapshots
from comparisons.threads import threads_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console
    from torch import Tensor, nn

    from comparisons.models.tsne_data import Points
    from comparisons.representer.sharing import Shared

__all__ = ["DATA", "represent"]

DATA = {"digits": digit_points, "fashion": fashion_points, "mnist": mnist_points}


def represent(
    folder: Path,
    data: str,
    *,
    seeds: list[int],
    flipped: list[float],
    epochs: list[int],
    threads: int,
    console: Console,
) -> None:
    """Train, rank, refit, time, draw and write.

    Args:
        folder: where records, tables, figures and the summary go.
        data: one of ``DATA``.
        seeds: of the networks and of the labels that are flipped.
        flipped: shares of the labels, between 0 and 1.
        epochs: after which each network is looked at.
        threads: PyTorch's.
        console: what it speaks to.

    Raises:
        MissingPackageError: the data are not there.
    """
    points = DATA[data]()
    records = JsonLines(folder)
    with threads_set(threads), Progress(console=console, transient=True) as progress:
        records.start(provenance(data=data, seeds=seeds, flipped=flipped, epochs=epochs))
        shared = _measure(records, points, seeds, flipped, sorted(epochs), progress)
    rows = list(records)
    said = statements(rows, points.title)
    files = _written(folder, rows, said) + save_figures(folder, rows, shared, points)
    console.print(Markdown(tables(rows)))
    for line in said:
        console.print(f"• {line}", highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _measure(
    records: JsonLines,
    points: Points,
    seeds: list[int],
    flipped: list[float],
    epochs: list[int],
    progress: Progress,
) -> Shared:
    """Record everything; the votes of the first seed's network on labels as they are."""
    first: Shared | None = None
    task = progress.add_task("networks", total=len(seeds) * (1 + len(flipped)))
    for seed in seeds:
        for share in (0.0, *flipped):
            for trained in _trained(points, share, epochs, seed):
                _append(records, iter([_network(trained, points)]))
                if share:
                    _append(records, detections(trained))
            if not share:
                shared = _of_clean(records, trained, points.test, is_first=first is None)
                first = first or shared
            progress.advance(task)
    assert first is not None
    return first


def _trained(points: Points, share: float, epochs: list[int], seed: int) -> Iterator[Trained]:
    """One network, looked at after each number of epochs."""
    classes = len(points.classes)
    labels, are_wrong = flip(points.train_labels, share, classes, seed)
    networks = snapshots(points.train, labels, classes, epochs=epochs[-1], seed=seed)
    examples = TensorDataset(points.train, labels)
    for count in epochs:
        yield Trained(seed, share, networks[:count], examples, are_wrong)


def _of_clean(records: JsonLines, trained: Trained, test: Tensor, *, is_first: bool) -> Shared:
    _append(records, refits(trained, test))
    _append(records, voters_of_classes(trained, test))
    if is_first:
        _append(records, times(trained, test))
    shared = shared_votes(trained, test)
    _append(records, iter([shared.record]))
    return shared


def _network(trained: Trained, points: Points) -> NetworkRecord:
    images, labels = trained.examples.tensors
    return NetworkRecord(
        trained.seed,
        trained.flipped,
        trained.epochs,
        hash_of(trained.network.state_dict()),
        len(labels),
        _accuracy(trained.network, images, labels),
        _accuracy(trained.network, points.test, points.test_labels),
    )


@torch.no_grad()
def _accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    found = torch.cat([network(part).argmax(1) for part in images.split(500)])
    return float((found == labels).double().mean())


def _append(records: JsonLines, found: Iterator[Any]) -> None:
    for record in found:
        records.append(record)


def _written(folder: Path, rows: list[dict[str, Any]], said: list[str]) -> list[Path]:
    table, summary = folder / "table.md", folder / "summary.md"
    table.write_text(tables(rows), encoding="utf-8")
    summary.write_text("".join(f"- {line}\n" for line in said), encoding="utf-8")
    return [table, summary]
