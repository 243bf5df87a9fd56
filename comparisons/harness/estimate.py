"""How long a run takes: passes counted, and timed on each network here.

A unit of m measures takes p (f + b)(1 + Σ attributions) + f' Σ forwards + 5 ms · m, where f
and b are the times of one example forward and backward, f' that of a row among many, and p the
passes of an attribution (as rows among many, where there are several). A machine does other
things besides: this tells minutes from hours and no more.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from comparisons.harness.loading import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from comparisons.harness.loading import Loaded, Networks
    from comparisons.harness.plan import Unit
    from comparisons.harness.registry import Registry
    from comparisons.harness.suite import MeasureChoice
    from comparisons.models.network import Network

__all__ = ["Pace", "pace_of", "paces_of", "seconds_of", "spoken"]

BUDGET = 0.5  # seconds for one network
REPEATS = 10
ROWS = 10  # at once through the network, as Integrated Gradients has them
SCORING = 5e-3  # seconds of a cell that are no pass: small networks are done sooner


@dataclass(frozen=True)
class Pace:
    """Seconds that one example takes.

    Attributes:
        forward, backward: alone.
        row, row_backward: as one of ``ROWS``.
    """

    forward: float
    backward: float
    row: float
    row_backward: float


def paces_of(networks: Networks) -> dict[str, Pace]:
    """The pace of each model, measured on its first network."""
    paces: dict[str, Pace] = {}
    for (model, _), network in networks.items():
        if model not in paces:
            paces[model] = pace_of(network)
    return paces


def pace_of(network: Loaded) -> Pace:
    """Measured in a second, unless a pass takes longer; zero where there is no network."""
    if isinstance(network, Unavailable):
        return Pace(0.0, 0.0, 0.0, 0.0)
    alone, together = _seconds(network, 1), _seconds(network, ROWS)
    return Pace(*alone, together[0] / ROWS, together[1] / ROWS)


def _seconds(network: Network, rows: int) -> tuple[float, float]:
    """Medians, forward and backward."""
    forward: list[float] = []
    both: list[float] = []
    start = time.perf_counter()
    _pass(network, rows, backward=True)  # warm-up
    while len(forward) < REPEATS and (not forward or time.perf_counter() - start < BUDGET):
        forward.append(_pass(network, rows, backward=False))
        both.append(_pass(network, rows, backward=True))
    once = statistics.median(forward)
    return once, max(statistics.median(both) - once, 0.0)


def _pass(network: Network, rows: int, *, backward: bool) -> float:
    inputs = network.inputs[:1].detach().repeat_interleave(rows, 0).requires_grad_(backward)
    start = time.perf_counter()
    with torch.set_grad_enabled(backward):
        value = network.model(inputs)[:, 0].sum()
        if backward:
            torch.autograd.grad(value, inputs)
    float(value.detach())  # waits for an accelerator
    return time.perf_counter() - start


def seconds_of(
    unit: Unit,
    choices: Sequence[MeasureChoice],
    registry: Registry,
    paces: Mapping[str, Pace],
) -> float:
    """What a unit is expected to take."""
    pace, method = paces[unit.model], registry.methods[unit.method]
    attributions, forwards = 1, 0
    for choice in choices:
        measure = registry.measures[choice.name]
        attributions += measure.attributions(choice.parameters)
        forwards += measure.forwards(choice.parameters)
    several = method.passes * (pace.row + pace.row_backward)
    once = max(several, pace.forward + pace.backward)
    return once * attributions + pace.row * forwards + SCORING * len(choices)


def spoken(seconds: Iterable[float]) -> str:
    """The sum of some times, for a reader.

    >>> spoken([30.0, 60.0])
    '2 minutes'
    """
    total = sum(seconds)
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if total >= 1.5 * size:
            return f"{total / size:.0f} {name}"
    return "a minute" if total >= 45 else f"{max(total, 2):.0f} seconds"
