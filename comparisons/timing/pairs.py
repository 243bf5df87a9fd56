"""Methods timed in turn: what the machine does meanwhile cancels in the ratio of a pair.

In every repeat the methods run in a new random order, and each time is divided by that of the
reference, which is Saliency unless told, in the same repeat.
"""

from __future__ import annotations

import random
import statistics
import time
import warnings
from typing import TYPE_CHECKING, Any

import torch

from comparisons.methods import Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from comparisons.methods import Method

__all__ = ["REFERENCE", "call_of", "interleaved", "is_slow", "quartiles", "ratios", "seconds"]

REFERENCE = "Saliency"
SLOW = 5.0  # times the reference: methods beyond it run in the first repeats only
SLOW_REPEATS = 2


def interleaved(
    calls: dict[str, Callable[[], Any]],
    repeats: int,
    advance: Callable[[], None],
    *,
    reference: str = REFERENCE,
) -> dict[str, list[float | None]]:
    """Seconds of every method in every repeat; None where a slow one was left out."""
    times: dict[str, list[float | None]] = {method: [] for method in calls}
    order, shuffle = list(calls), random.Random(0)
    for repeat in range(repeats):
        shuffle.shuffle(order)
        for method in order:
            skip = repeat >= SLOW_REPEATS and is_slow(times[method], times[reference])
            times[method].append(None if skip else seconds(calls[method]))
            advance()
    return times


def is_slow(times: list[float | None], reference: list[float | None]) -> bool:
    """Whether a method takes so much longer that two repeats are enough."""
    found = ratios(times, reference)
    return bool(found) and statistics.median(found) > SLOW


def ratios(times: list[float | None], reference: list[float | None]) -> list[float]:
    """Each time by the reference's of the same repeat."""
    pairs = zip(times, reference, strict=False)
    return [t / r for t, r in pairs if t is not None and r is not None]


def quartiles(values: list[float]) -> str:
    """``low–high (count)``."""
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{low:.2f}–{high:.2f} ({len(values)})"


def call_of(method: Method, model: nn.Module, inputs: Tensor) -> Callable[[], Any]:
    """One attribution of output 3, with zeros where the method wants a baseline."""
    explainer = method.make(Setting(torch.zeros_like(inputs[:1])))(model)

    def call() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return explainer.attribute(inputs, target=3)

    return call


def seconds(call: Callable[[], Any]) -> float:
    """Time of one call: the processor's with one thread, which others do not take part in."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    call()
    return clock() - start
