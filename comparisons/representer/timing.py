"""Seconds for a test image, in turn with Captum's methods: what the machine does cancels."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.companions.representer import RepresenterPoints
from comparisons.representer.captums import (
    INFLUENCE,
    TRACIN,
    influence_function,
    quietly,
    tracin,
)
from comparisons.representer.records import TimeRecord
from comparisons.timing.pairs import ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from comparisons.representer.detection import Trained

__all__ = ["IMAGES", "OURS", "times"]

OURS = "representer"
IMAGES = (1, 100)
REPEATS = 9


def times(trained: Trained, test: Tensor) -> Iterator[TimeRecord]:
    """A record of each method and number of test images; all votes are computed, none kept."""
    with torch.no_grad():
        predicted = trained.network(test).argmax(1)
    once, methods = {}, {}
    for name, make in _makers(trained).items():
        once[name], methods[name] = _timed(make)
    for count in IMAGES:
        batch, labels = test[:count], predicted[:count]
        calls = {name: _call(method, name, batch, labels) for name, method in methods.items()}
        found = _interleaved(calls)
        for name, seconds in found.items():
            yield TimeRecord(
                trained.seed,
                name,
                count,
                len(trained.are_wrong),
                tuple(each / count for each in seconds),
                tuple(ratios(list(found[TRACIN]), list(seconds))),
                once[name],
            )


def _makers(trained: Trained) -> dict[str, Callable[[], Any]]:
    network, examples = trained.network, trained.examples
    return {
        OURS: lambda: RepresenterPoints(network, examples, batch_size=500),
        TRACIN: lambda: tracin([network], examples),
        INFLUENCE: lambda: influence_function(network, examples),
    }


def _call(method: Any, name: str, batch: Tensor, labels: Tensor) -> Callable[[], Any]:
    """Votes of all training examples on the predicted class, whose loss Captum's take."""
    if name == OURS:
        return lambda: method.influence(batch)
    return lambda: method.influence((batch, labels))


def _interleaved(calls: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Processor seconds of every method in every repeat, in a new random order each time."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(0)
    for call in calls.values():
        _timed(call)  # warm
    for _ in range(REPEATS):
        shuffle.shuffle(order)
        for name in order:
            found[name].append(_timed(calls[name])[0])
    return found


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    with quietly():
        start = time.process_time()
        result = call()
        return time.process_time() - start, result
