"""Paired timings and peak memory of attribution methods against Saliency.

Times are paired, see `pairs`. Memory is the most that PyTorch's allocator held at once.
"""

from __future__ import annotations

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
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console
    from torch import Tensor, nn

__all__ = ["NETWORKS", "cost"]

TOKENS, WIDTH = 256, 384


def _vision(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(torchvision_models(), name)(weights=None)


COMPARED = ("ILIN", "ILIN-reference", "InputXGradient", "IG-50", "DeepLIFT", "Saliency")
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet50": _vision("resnet50"),
    "vit_b_16": _vision("vit_b_16"),
    "swin_t": _vision("swin_t"),
    "convnext_tiny": _vision("convnext_tiny"),
    "mobilenet_v2": _vision("mobilenet_v2"),
    "decoder": Decoder,
}


@dataclass(frozen=True)
class CostRecord:
    """One method on one network.

    Attributes:
        seconds: time of each repeat, the processor's with one thread, else the wall clock's.
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
    records = JsonLines(folder)
    facts = {"repeats": repeats, "size": size, "batch": batch, "tokens": TOKENS}
    records.start(provenance(dtype="float32", weights="random", seed=0, **facts))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(models) * (repeats + 1) * len(COMPARED))
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
    for method in COMPARED:
        call = call_of(METHODS[method], model, inputs)
        try:
            seconds(call)
            peaks[method] = peak_bytes(call)
            calls[method] = call
        except Exception as error:
            errors[method] = f"{type(error).__name__}: {error}"
        advance()
    times = interleaved(calls, repeats, advance)
    return [
        CostRecord(
            name,
            method,
            tuple(found for found in times.get(method, []) if found is not None),
            tuple(ratios(times.get(method, []), times[REFERENCE])),
            peaks.get(method),
            errors.get(method),
        )
        for method in COMPARED
    ]


COLUMNS = ("method", "ms", "× Saliency", "quartiles", "MB", "× Saliency")


def _lines(rows: list[dict[str, Any]], model: str) -> list[list[str]]:
    found = {row["method"]: row for row in rows if row["model"] == model}
    return [_line(row, found[REFERENCE]) for row in found.values()]


def _line(row: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    if row["error"] is not None:
        kind = row["error"].partition(":")[0]  # the whole error is in the records
        return [row["method"], "failed", kind, *[""] * (len(COLUMNS) - 3)]
    return [
        row["method"],
        f"{1e3 * statistics.median(row['seconds']):.0f}",
        f"{statistics.median(row['ratios']):.2f}",
        quartiles(row["ratios"]),
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
