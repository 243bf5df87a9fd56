"""Calls timed in pairs with one of them, and the peak memory of each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_ilin.metrics import peak_bytes
from comparisons.timing.mapping.networks import network
from comparisons.timing.mapping.part import Part, Section
from comparisons.timing.pairs import interleaved, quartiles, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from comparisons.timing.mapping.part import Step

__all__ = ["TimedRecord", "timed", "timed_part"]


@dataclass(frozen=True)
class TimedRecord:
    """One call on one network.

    Attributes:
        seconds: wall time of each repeat.
        ratios: the same divided by the reference's in the same repeat.
        peak_bytes, reference_peak_bytes: most bytes allocated at once, beyond those before.
    """

    part: str
    model: str
    call: str
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    peak_bytes: int
    reference_peak_bytes: int


def timed_part(
    title: str,
    text: str,
    calls: Callable[[nn.Module, Tensor], dict[str, Callable[[], Any]]],
    labels: Sequence[str],
    models: tuple[str, ...] | None = None,
) -> Part:
    """A part that times calls on each network, and has one table.

    Args:
        calls: what is timed, by these labels.
        labels: the first is that which the others are divided by.
    """
    name = title.lower()

    def measured(model: str, repeats: int, step: Step) -> Iterator[TimedRecord]:
        yield from timed(name, model, calls(*network(model)), repeats, step)

    def sections(rows: list[dict[str, Any]]) -> list[Section]:
        return [Section(title, text, _columns(labels[0]), [_line(row) for row in rows])]

    return Part(name, models, lambda n: len(labels) * (n + 1), measured, sections)


def timed(
    part: str,
    model: str,
    calls: dict[str, Callable[[], Any]],
    repeats: int,
    step: Step,
) -> list[TimedRecord]:
    """Warm up and measure memory once, then time in interleaved repeats.

    The first of the calls is the one that the others are divided by.
    """
    peaks = {}
    for label, call in calls.items():
        step(f"{model}: memory of {label}")
        call()
        peaks[label] = peak_bytes(call)
    reference = next(iter(calls))
    described = f"{model}: {part}, {repeats} paired repeats"
    times = interleaved(calls, repeats, lambda: step(described), reference=reference)
    return [
        TimedRecord(
            part,
            model,
            label,
            tuple(t for t in times[label] if t is not None),
            tuple(ratios(times[label], times[reference])),
            peaks[label],
            peaks[reference],
        )
        for label in calls
    ]


def _columns(reference: str) -> dict[str, str]:
    """The columns of `_line`, and what they mean."""
    return {
        "network": "random weights (EfficientNet-Lite0: its own), evaluation mode, one image",
        "call": "what is timed; after one call of it that is not",
        "ms": "median wall time",
        "ratio": f"median of time / that of {reference} in the same repeat",
        "quartiles": "of these ratios, and how many there are (2 beyond a ratio of 5)",
        "MB": "most bytes that PyTorch's allocator held at once, beyond those held before",
        "ratio of MB": f"the same / that of {reference}",
    }


def _line(row: dict[str, Any]) -> list[str]:
    """One line of the table, from a record's row."""
    return [
        row["model"],
        row["call"],
        f"{1e3 * statistics.median(row['seconds']):.1f}",
        f"{statistics.median(row['ratios']):.2f}",
        quartiles(row["ratios"]),
        f"{row['peak_bytes'] / 1e6:.1f}",
        f"{row['peak_bytes'] / max(row['reference_peak_bytes'], 1):.2f}",
    ]
