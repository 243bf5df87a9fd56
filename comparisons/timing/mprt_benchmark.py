"""MPRT beside Quantus 0.6.0: the same numbers, how fast, and in how much memory.

Two networks with five layers, as Adebayo et al. tested them: an MLP and a LeNet. Both run in
turn, so that what the machine does meanwhile cancels in the ratio of a pair. Quantus draws one
randomisation at a call and explains the original twice in each; `mprt` explains it once for
all. What is left of the time is the gradients', most of all the LeNet's convolutions', and no
metric saves those.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import statistics
import time
import tracemalloc
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import InputXGradient, Saliency
from rich.box import SIMPLE_HEAD
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn

from captum_ilin.metrics import mprt, peak_bytes
from comparisons.packages import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

__all__ = ["benchmark"]

IMAGES, REPEATS = 64, 11
SEED = 42  # Quantus's own; its draws begin one above
SIZES = (16, 64, 256)
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Gradient": (Saliency, {"abs": False}),
    "InputXGradient": (InputXGradient, {}),
}


def _mlp() -> nn.Module:
    widths = (784, 256, 128, 64, 32, 10)
    layers = [
        layer
        for size, width in itertools.pairwise(widths)
        for layer in (nn.ReLU(), nn.Linear(size, width))
    ]
    return nn.Sequential(nn.Flatten(), *layers[1:])


def _lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


NETWORKS = {"MLP": _mlp, "LeNet": _lenet}


@dataclass(frozen=True)
class Comparison:
    """One network and method, one number of randomisations.

    Attributes:
        ours, theirs: processor seconds of each repeat.
        difference: the largest between two of the same number.
    """

    network: str
    method: str
    seeds: int
    ours: list[float]
    theirs: list[float]
    difference: float

    @property
    def ratios(self) -> list[float]:
        """How many times as long Quantus takes, in each repeat."""
        return [t / o for t, o in zip(self.theirs, self.ours, strict=True)]


def benchmark(console: Console, *, repeats: int = REPEATS) -> list[Comparison]:
    """Print both tables; half a minute."""
    require("quantus", purpose="The peer of MPRT", install="quantus==0.6.0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = [
            _compared(network, method, seeds, repeats)
            for network, method, seeds in itertools.product(NETWORKS, METHODS, (1, 5))
        ]
        console.print(_times(found))
        console.print(_memory())
    finally:
        torch.set_num_threads(threads)
    return found


def _compared(network: str, name: str, seeds: int, repeats: int) -> Comparison:
    model, images, target = _setting(network, IMAGES)
    ours = partial(_ours, name, model, images, target, seeds)
    theirs = partial(_theirs, name, model, images, target, seeds)
    difference = float((ours() - theirs()).abs().max())
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(repeats)]
    first, second = (list(column) for column in zip(*pairs, strict=True))
    return Comparison(network, name, seeds, first, second, difference)


def _seconds(call: Callable[[], Any]) -> float:
    """Of the processor, on one thread: not counting what else the machine does."""
    start = time.process_time()
    call()
    return time.process_time() - start


def _setting(network: str, images: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Not trained: what a network has learned changes nothing of the time."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = NETWORKS[network]().eval()
    pixels, labels = load_digits(return_X_y=True)
    small = torch.tensor(pixels[:images] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    large = F.interpolate(small, size=(28, 28), mode="bilinear")
    return model, large, torch.tensor(labels[:images])


def _ours(name: str, model: nn.Module, images: Tensor, target: Tensor, seeds: int) -> Tensor:
    """(seeds, layers, images)"""
    method, arguments = METHODS[name]
    cascade = mprt(
        method,
        model,
        images,
        target=target,
        similarities=("abs_spearman",),
        seeds=range(SEED + 1, SEED + 1 + seeds),
        attribute_kwargs=arguments,
    )
    return cascade.similarities["abs_spearman"].values


def _theirs(name: str, model: nn.Module, images: Tensor, target: Tensor, seeds: int) -> Tensor:
    """(seeds, layers, images)"""
    quantus: Any = importlib.import_module("quantus")

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(SEED, SEED + seeds):
            test = quantus.MPRT(
                layer_order="top_down", seed=seed, normalise=False, disable_warnings=True
            )
            layers = test(
                model=model,
                x_batch=images.numpy(),
                y_batch=target.numpy(),
                explain_func=quantus.explain,
                explain_func_kwargs={"method": name},
            )
            found.append([values for name, values in layers.items() if name != "original"])
    return torch.from_numpy(np.array(found))


def _times(found: list[Comparison]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=f"MPRT, {IMAGES} images, 5 layers, one thread")
    for column in (
        "network",
        "method",
        "seeds",
        "Quantus s",
        "mprt s",
        "ratio",
        "of pairs",
        "difference",
    ):
        table.add_column(column, justify="left" if column in ("network", "method") else "right")
    for row in found:
        table.add_row(
            row.network,
            row.method,
            str(row.seeds),
            f"{statistics.median(row.theirs):.3f}",
            f"{statistics.median(row.ours):.3f}",
            f"{statistics.median(row.ratios):.1f}",
            f"{min(row.ratios):.1f}–{max(row.ratios):.1f}",
            f"{row.difference:.0e}",
        )
    return table


def _memory() -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        title="Peak memory in MB beyond the inputs (PyTorch's + Python's and NumPy's)",
    )
    table.add_column("images")
    for size in SIZES:
        table.add_column(str(size), justify="right")
    for label, run in (("Quantus", _theirs), ("mprt", _ours)):
        peaks = [_peak(partial(run, "Gradient", *_setting("LeNet", size), 1)) for size in SIZES]
        table.add_row(label, *(f"{peak / 1e6:.2f}" for peak in peaks))
    return table


def _peak(function: Callable[[], Any]) -> int:
    """The two allocators' peaks, each by itself: at most so much at once."""
    function()
    gc.collect()
    tracemalloc.start()
    try:
        function()
        _, traced = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return traced + peak_bytes(function)
