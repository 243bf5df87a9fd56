"""How ILIN's time and memory grow with tokens, depth and batch, beside Saliency's.

One of the three sizes grows while the others stay at `BASE`. The growth exponent p of a cost
C ~ n^p is the least-squares slope of log C against log n; 1 is linear growth.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table

from captum_ilin.metrics import peak_bytes
from comparisons.methods import METHODS
from comparisons.models.decoder import Decoder
from comparisons.models.vision import torchvision_models
from comparisons.records.jsonlines import JsonLines
from comparisons.records.provenance import provenance
from comparisons.timing.pairs import REFERENCE, call_of, interleaved, quartiles, ratios, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console
    from torch import Tensor, nn

__all__ = ["AXES", "BASE", "NETWORKS", "growth", "scaling"]

METHOD = "ILIN"
BASE = {"tokens": 256, "depth": 4, "batch": 1}
AXES = {
    "tokens": (32, 64, 128, 256, 512, 1024),
    "depth": (2, 4, 8, 16),
    "batch": (1, 2, 4, 8, 16),
}
PATCH = 8


def _decoder(tokens: int, depth: int, batch: int) -> tuple[nn.Module, Tensor, int]:
    return Decoder(depth=depth), torch.randn(batch, tokens, 384), tokens


def _vit(tokens: int, depth: int, batch: int) -> tuple[nn.Module, Tensor, int]:
    """Images are square, so the patches are the square number nearest to ``tokens``."""
    side = round(math.sqrt(tokens))
    model = torchvision_models().VisionTransformer(
        image_size=side * PATCH,
        patch_size=PATCH,
        num_layers=depth,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
    )
    return model, torch.randn(batch, 3, side * PATCH, side * PATCH), side * side


NETWORKS: dict[str, Callable[[int, int, int], tuple[nn.Module, Tensor, int]]] = {
    "decoder": _decoder,
    "vit": _vit,
}


@dataclass(frozen=True)
class ScalingRecord:
    """ILIN and Saliency on one network at one size.

    Attributes:
        axis: what grows.
        size: how large it is; of images the patches there are.
        seconds, reference_seconds: wall time of each repeat, ILIN's and Saliency's.
        ratios: the one by the other.
        peak_bytes, reference_peak_bytes: most bytes allocated at once.
    """

    model: str
    axis: str
    size: int
    seconds: tuple[float, ...]
    reference_seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    peak_bytes: int
    reference_peak_bytes: int


def scaling(
    folder: Path, models: list[str], *, repeats: int, threads: int | None, console: Console
) -> None:
    """Measure, record and print. Some minutes for all."""
    if threads is not None:
        torch.set_num_threads(threads)
    records = JsonLines(folder)
    records.start(provenance(dtype="float32", weights="random", repeats=repeats, base=BASE))
    with Progress(console=console, transient=True) as progress:
        points = sum(map(len, AXES.values())) * len(models)
        task = progress.add_task("", total=points * 2 * repeats)
        for record in _measured(models, repeats, lambda: progress.advance(task)):
            progress.update(task, description=f"{record.model} {record.axis} {record.size}")
            records.append(record)
    rows = list(records)
    for header, lines in (_costs(rows), _exponents(rows)):
        console.print(_table(header, lines))
    (folder / "scaling.md").write_text(
        "\n".join(map(_markdown, (_costs(rows), _exponents(rows))))
    )
    console.print(f"{repeats} paired repeats, {torch.get_num_threads()} threads, base {BASE}")
    console.print(f"  {folder / 'scaling.md'}", highlight=False)


def _measured(
    models: list[str], repeats: int, advance: Callable[[], None]
) -> Iterator[ScalingRecord]:
    for model in models:
        for axis, sizes in AXES.items():
            for size in sizes:
                yield _point(model, axis, size, repeats, advance)


def _point(
    name: str, axis: str, size: int, repeats: int, advance: Callable[[], None]
) -> ScalingRecord:
    """Warm up and measure memory once, then time in interleaved repeats."""
    torch.manual_seed(0)
    sizes = BASE | {axis: size}
    made = NETWORKS[name](sizes["tokens"], sizes["depth"], sizes["batch"])
    model, inputs, tokens = made
    calls, peaks = {}, {}
    for method in (METHOD, REFERENCE):
        call = calls[method] = call_of(METHODS[method], model.eval(), inputs)
        seconds(call)
        peaks[method] = peak_bytes(call)
    times = interleaved(calls, repeats, advance)
    return ScalingRecord(
        name,
        axis,
        tokens if axis == "tokens" else size,
        tuple(t for t in times[METHOD] if t is not None),
        tuple(t for t in times[REFERENCE] if t is not None),
        tuple(ratios(times[METHOD], times[REFERENCE])),
        peaks[METHOD],
        peaks[REFERENCE],
    )


def growth(sizes: list[int], costs: list[float]) -> float:
    """The slope of log cost against log size, by least squares."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    return statistics.linear_regression(x, y).slope


Lines = tuple[tuple[str, ...], list[list[str]]]
SIZED = "model", "grows", "size", "ms", "Saliency's", "ratio", "quartiles"
COSTS = (*SIZED, "MB", "Saliency's", "ratio")
RANGE = "model", "grows", "from", "to"
EXPONENTS = (*RANGE, "time ~ n^p", "Saliency's", "memory ~ n^p", "Saliency's")


def _costs(rows: list[dict[str, Any]]) -> Lines:
    """Each point: medians of time, the paired ratio, and the peaks of memory."""
    return COSTS, [
        [
            row["model"],
            row["axis"],
            str(row["size"]),
            f"{1e3 * statistics.median(row['seconds']):.0f}",
            f"{1e3 * statistics.median(row['reference_seconds']):.0f}",
            f"{statistics.median(row['ratios']):.2f}",
            quartiles(row["ratios"]),
            f"{row['peak_bytes'] / 1e6:.1f}",
            f"{row['reference_peak_bytes'] / 1e6:.1f}",
            f"{row['peak_bytes'] / row['reference_peak_bytes']:.2f}",
        ]
        for row in rows
    ]


def _exponents(rows: list[dict[str, Any]]) -> Lines:
    """Each axis of each network: how the four costs grow along it."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["axis"]), []).append(row)
    return EXPONENTS, [
        [*key, str(group[0]["size"]), str(group[-1]["size"]), *_slopes(group)]
        for key, group in groups.items()
    ]


def _slopes(rows: list[dict[str, Any]]) -> list[str]:
    sizes = [row["size"] for row in rows]
    costs = (
        [statistics.median(row["seconds"]) for row in rows],
        [statistics.median(row["reference_seconds"]) for row in rows],
        [row["peak_bytes"] for row in rows],
        [row["reference_peak_bytes"] for row in rows],
    )
    return [f"{growth(sizes, cost):.2f}" for cost in costs]


def _table(header: tuple[str, ...], lines: list[list[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(header):
        table.add_column(column, justify="right" if number > 1 else "left")
    for line in lines:
        table.add_row(*line)
    return table


def _markdown(table: Lines) -> str:
    header, lines = table
    ruled = [list(header), ["---", "---"] + ["---:"] * (len(header) - 2), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in ruled) + "\n"
