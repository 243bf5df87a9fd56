"""``python -m comparisons tsne``: an encoder's map, measured, drawn and told."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.markdown import Markdown
from rich.progress import Progress

from comparisons.embedding import maps
from comparisons.embedding.affinities import check_points
from comparisons.embedding.figures import save_figures
from comparisons.embedding.measuring import measured
from comparisons.embedding.preservation import check_neighbours
from comparisons.embedding.statements import statements
from comparisons.embedding.tables import of_kind, tables
from comparisons.models.trained import facts_of
from comparisons.models.tsne import ENCODERS, WEIGHTS, restored, trained
from comparisons.records.jsonlines import JsonLines
from comparisons.records.provenance import provenance
from comparisons.threads import threads_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console
    from torch import nn

    from comparisons.embedding.records import Record
    from comparisons.models.tsne import Embedder
    from comparisons.models.tsne_data import Points

__all__ = ["DATA", "KINDS", "embed"]

DATA = ("digits", "fashion", "mnist")
KINDS = ("preservation", "encoder", "class", "pair", "move")


def embed(
    folder: Path,
    data: str,
    *,
    seeds: list[int] | None,
    perplexity: float,
    neighbours: int,
    threads: int,
    console: Console,
) -> None:
    """Load or train an encoder for each seed, measure, draw and write.

    Args:
        folder: where records, tables, figures and the summary go.
        data: one of ``DATA``.
        seeds: of the encoders; those of the committed weights unless told, or else 0. The
            committed weights are used where there are such; other seeds, and another
            perplexity, are trained.
        perplexity: of the encoders and of scikit-learn's t-SNE.
        neighbours: of the measures.
        threads: PyTorch's.
        console: what it speaks to.

    Raises:
        EmbeddingError: there are more neighbours asked for than points.
        MissingPackageError: the data are not there.
    """
    embedder = ENCODERS[f"tsne_{data}"]
    points, chosen = embedder.points(), seeds or list(embedder.seeds) or [0]
    check_points(points.train, perplexity)
    check_neighbours(len(points.test), neighbours)
    embedder = replace(embedder, schedule=replace(embedder.schedule, perplexity=perplexity))
    records = JsonLines(folder)
    records.start(_facts(embedder, data, chosen, neighbours))
    with threads_set(threads), Progress(console=console, transient=True) as progress:
        drawn = _measure(records, embedder, points, chosen, neighbours, progress)
    rows = list(records)
    said = statements(rows, points.title)
    files = _written(folder, rows, said) + save_figures(folder, drawn, points)
    console.print(Markdown(tables(rows)))
    for line in said:
        console.print(f"• {line}", highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _facts(embedder: Embedder, data: str, seeds: list[int], neighbours: int) -> dict[str, Any]:
    return provenance(
        data=data, seeds=seeds, neighbours=neighbours, schedule=asdict(embedder.schedule)
    )


def _measure(
    records: JsonLines,
    embedder: Embedder,
    points: Points,
    seeds: list[int],
    neighbours: int,
    progress: Progress,
) -> nn.Module:
    """Record everything; the encoder of the first seed."""
    encoders = {}
    for seed in seeds:
        encoder, divergence = _encoder(embedder, points, seed, progress)
        encoders[seed] = encoder
        with _step(progress, f"loadings of seed {seed}"):
            _append(records, maps.of_encoder(encoder, points, seed, neighbours))
            _append(records, measured(encoder, points, seed, divergence))
    perplexity = embedder.schedule.perplexity
    for seed in seeds:
        with _step(progress, f"scikit-learn's t-SNE, seed {seed}"):
            for together in (False, True):
                _append(
                    records,
                    maps.of_tsne(points, seed, neighbours, perplexity, together=together),
                )
    _append(records, maps.of_pca(points, neighbours))
    _append(records, maps.of_pixels(points, neighbours))
    return encoders[seeds[0]]


def _encoder(
    embedder: Embedder, points: Points, seed: int, progress: Progress
) -> tuple[nn.Module, float]:
    """Committed, or trained; and its KL(P‖Q)."""
    if seed in embedder.seeds and embedder.schedule == ENCODERS[embedder.name].schedule:
        divergence = facts_of(WEIGHTS, f"{embedder.name}_{seed}")["divergence"]
        return restored(embedder, seed), float(divergence)
    task = progress.add_task(f"training, seed {seed}", total=embedder.schedule.epochs)
    return trained(
        embedder, points.train, embedder.schedule, seed, lambda loss: progress.advance(task)
    )


@contextmanager
def _step(progress: Progress, name: str) -> Iterator[None]:
    """A line of the progress while the block runs."""
    task = progress.add_task(name, total=None)
    yield
    progress.remove_task(task)


def _append(records: JsonLines, found: Iterator[Record]) -> None:
    for record in found:
        records.append(record)


def _written(folder: Path, rows: list[dict[str, Any]], said: list[str]) -> list[Path]:
    """The tables as Markdown, the records of each kind as CSV, the summary."""
    table, summary = folder / "table.md", folder / "summary.md"
    table.write_text(tables(rows), encoding="utf-8")
    summary.write_text("".join(f"- {line}\n" for line in said), encoding="utf-8")
    written = [table, summary]
    for kind in KINDS:
        written.append(folder / f"{kind}.csv")
        with written[-1].open("w", newline="", encoding="utf-8") as file:
            lines = of_kind(rows, kind)
            writer = csv.DictWriter(file, lines[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    return written
