"""Paired timings and peak memory of attribution methods against Saliency.

For each network the methods run in turn, in a new random order in every repeat, and each time
is divided by Saliency's of the same repeat: what the machine does meanwhile cancels. Memory is
the most that PyTorch's allocator held at once.
"""

from __future__ import annotations

import random
import statistics
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table

from comparisons.measurement import peak_bytes
from comparisons.methods import METHODS
from comparisons.models.decoder import Decoder
from comparisons.models.vision import torchvision_models
from comparisons.records import Records, provenance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console
    from torch import Tensor, nn

__all__ = ["NETWORKS", "cost"]

REFERENCE = "Saliency"
SLOW = 5.0  # times Saliency: methods beyond it run in the first repeats only
SLOW_REPEATS = 2
TOKENS, WIDTH = 256, 384


def _vision(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(torchvision_models(), name)(weights=None)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet50": _vision("resnet50"),
    "vit_b_16": _vision("vit_b_16"),
    "swin_t": _vision("swin_t"),
    "convnext_tiny": _vision("convnext_tiny"),
    "decoder": Decoder,
}


@dataclass(frozen=True)
class CostRecord:
    """One method on one network.

    Attributes:
        seconds: wall time of each repeat.
        ratios: the same divided by Saliency's in the same repeat.
        peak_bytes: most bytes allocated at once.
        error: what the method raised, if it did.
    """

    model: str
    method: str
    seconds: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    peak_bytes: int | None = None
    error: str | None = None


def cost(
    folder: Path,
    models: list[str],
    *,
    repeats: int,
    size: int,
    batch: int,
    threads: int | None,
    console: Console,
) -> None:
    """Measure, record and print. Some minutes for each network."""
    if threads is not None:
        torch.set_num_threads(threads)
    records = Records(folder)
    facts = {"repeats": repeats, "size": size, "batch": batch, "tokens": TOKENS}
    records.start(provenance(dtype="float32", weights="random", seed=0, **facts))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(models) * (repeats + 1) * len(METHODS))
        for name in models:
            model, inputs = _network(name, size, batch)
            progress.update(task, description=name)
            for record in _paired(name, model, inputs, repeats, lambda: progress.advance(task)):
                records.append(record)
    rows = list(records)
    for name in models:
        console.print(f"\n[bold]{name}[/]", highlight=False)
        console.print(_table(rows, name))
    (folder / "table.md").write_text(_markdown(rows, models))
    console.print(f"{repeats} paired repeats, batch {batch}, {torch.get_num_threads()} threads")
    console.print(f"  {folder / 'table.md'}", highlight=False)


def _network(name: str, size: int, batch: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    shape = (batch, TOKENS, WIDTH) if name == "decoder" else (batch, 3, size, size)
    return model, torch.randn(shape)


def _paired(
    name: str, model: nn.Module, inputs: Tensor, repeats: int, advance: Callable[[], None]
) -> list[CostRecord]:
    """Warm up and measure memory once, then time in interleaved repeats."""
    calls, peaks, errors = {}, {}, {}
    for method in METHODS.values():
        call = _call(method.make(model), inputs)
        try:
            _seconds(call)
            peaks[method.name] = peak_bytes(call)
            calls[method.name] = call
        except Exception as error:
            errors[method.name] = f"{type(error).__name__}: {error}"
        advance()
    times = _interleaved(calls, repeats, advance)
    return [
        CostRecord(
            name,
            method,
            tuple(found for found in times.get(method, []) if found is not None),
            tuple(_ratios(times.get(method, []), times[REFERENCE])),
            peaks.get(method),
            errors.get(method),
        )
        for method in METHODS
    ]


def _interleaved(
    calls: dict[str, Callable[[], Any]], repeats: int, advance: Callable[[], None]
) -> dict[str, list[float | None]]:
    """Seconds of every method in every repeat; None where a slow one was left out."""
    times: dict[str, list[float | None]] = {method: [] for method in calls}
    order, shuffle = list(calls), random.Random(0)
    for repeat in range(repeats):
        shuffle.shuffle(order)
        for method in order:
            skip = repeat >= SLOW_REPEATS and _is_slow(times[method], times[REFERENCE])
            times[method].append(None if skip else _seconds(calls[method]))
            advance()
    return times


def _is_slow(times: list[float | None], reference: list[float | None]) -> bool:
    ratios = _ratios(times, reference)
    return bool(ratios) and statistics.median(ratios) > SLOW


def _ratios(times: list[float | None], reference: list[float | None]) -> list[float]:
    pairs = zip(times, reference, strict=False)
    return [t / r for t, r in pairs if t is not None and r is not None]


def _call(attribute: Any, inputs: Tensor) -> Callable[[], Any]:
    baseline = torch.zeros_like(inputs)

    def call() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return attribute(inputs, 3, baseline)

    return call


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


COLUMNS = ("method", "ms", "× Saliency", "quartiles", "MB", "× Saliency")


def _lines(rows: list[dict[str, Any]], model: str) -> list[list[str]]:
    found = {row["method"]: row for row in rows if row["model"] == model}
    return [_line(row, found[REFERENCE]) for row in found.values()]


def _line(row: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    if row["error"] is not None:
        kind = row["error"].partition(":")[0]  # the whole error is in the records
        return [row["method"], "failed", kind, *[""] * (len(COLUMNS) - 3)]
    ratios = row["ratios"]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return [
        row["method"],
        f"{1e3 * statistics.median(row['seconds']):.0f}",
        f"{statistics.median(ratios):.2f}",
        f"{low:.2f}–{high:.2f} ({len(ratios)})",
        f"{row['peak_bytes'] / 1e6:.0f}",
        f"{row['peak_bytes'] / reference['peak_bytes']:.2f}",
    ]


def _table(rows: list[dict[str, Any]], model: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number else "left")
    for line in _lines(rows, model):
        table.add_row(*line)
    return table


def _markdown(rows: list[dict[str, Any]], models: list[str]) -> str:
    lines = [["model", *COLUMNS], ["---", "---"] + ["---:"] * (len(COLUMNS) - 1)]
    lines += [[model, *line] for model in models for line in _lines(rows, model)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
