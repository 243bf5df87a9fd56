"""Every row of W, beside ``torch.func.jacrev`` with the chunk size that suits it best."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from captum_ilin import linearize
from captum_ilin.metrics import peak_bytes
from comparisons.timing.mapping.limit import (
    counted,
    head_features,
    matmul_rate,
    passes,
)
from comparisons.timing.mapping.networks import ALL_ROWS, PIECEWISE_LINEAR, network
from comparisons.timing.mapping.part import Part
from comparisons.timing.mapping.rows_page import sections
from comparisons.timing.pairs import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from comparisons.timing.mapping.part import Step

__all__ = ["CHUNKS", "ROWS", "RowsRecord", "compared", "jacobian", "largest_difference"]

FEW = 200  # outputs on which the chunk size is chosen
CHUNKS: tuple[int | None, ...] = (1, 4, 8, 16, 32, 64, None)  # 1 is a loop, None all at once


@dataclass(frozen=True)
class RowsRecord:
    """All rows of one network, by the map and by jacrev.

    Attributes:
        outputs, inputs: how many numbers.
        few: outputs on which the chunk size was chosen.
        chunks: the seconds of each chunk size there, "all" for all at once.
        chunk: the fastest.
        seconds, reference_seconds: the map's, its forward pass included, and jacrev's.
        peak_bytes, reference_peak_bytes: most bytes allocated at once, the result included.
        result_bytes: of the result.
        difference: largest |W − J| / largest |J|; None where the map is not the derivative.
        flops, reference_flops: of one backward pass, the map's and the network's.
        rate: operations a second of the machine's matrix products.
        features: of the last linear layer; None where the outputs are not its own.
    """

    model: str
    outputs: int
    inputs: int
    few: int
    chunks: dict[str, float]
    chunk: str
    seconds: float
    reference_seconds: float
    peak_bytes: int
    reference_peak_bytes: int
    result_bytes: int
    difference: float | None
    flops: int
    reference_flops: int
    rate: float
    features: int | None
    part: str = "rows"


def compared(name: str, model: nn.Module, x: Tensor, few: int, step: Step) -> RowsRecord:
    """One run of each with all outputs, after those that choose the chunk size."""
    model.requires_grad_(False)  # else jacrev records the parameters' graph besides
    outputs = model(x)[0].numel()
    chunks = _chosen_from(name, model, x, min(few, outputs), step)
    chunk = min(chunks, key=lambda size: chunks[size])
    step(f"{name}: {outputs} rows by jacrev, chunk size {_label(chunk)}")
    J, reference_seconds, reference_peak = _once(partial(jacobian, model, x, chunk))
    step(f"{name}: {outputs} rows by the map")
    W, own_seconds, peak = _once(partial(_every_row, model, x))
    step(f"{name}: the arithmetic limit")
    affine_map = linearize(model, x)
    return RowsRecord(
        model=name,
        outputs=outputs,
        inputs=x.numel(),
        few=min(few, outputs),
        chunks={_label(size): found for size, found in chunks.items()},
        chunk=_label(chunk),
        seconds=own_seconds,
        reference_seconds=reference_seconds,
        peak_bytes=peak,
        reference_peak_bytes=reference_peak,
        result_bytes=W.nbytes,
        difference=largest_difference(W, J) if name in PIECEWISE_LINEAR else None,
        flops=counted(lambda: affine_map.weight(target=0)),
        reference_flops=passes(model, x),
        rate=matmul_rate(),
        features=head_features(model, outputs),
    )


def jacobian(model: Callable[[Tensor], Tensor], x: Tensor, chunk: int | None) -> Tensor:
    """(outputs, \\*x.shape) of one example, by ``torch.func.jacrev``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*performance drop.*batching rule")
        return torch.func.jacrev(lambda point: model(point)[0], chunk_size=chunk)(x)


def _every_row(model: nn.Module, x: Tensor) -> Tensor:
    """(1, outputs, \\*features), the forward pass included."""
    weight = linearize(model, x).weight()
    assert isinstance(weight, torch.Tensor)
    return weight


def largest_difference(W: Tensor, J: Tensor) -> float:
    """Largest |W − J| / largest |J|, a row at a time. W is (1, outputs, \\*features)."""
    pairs = zip(W[0], J[:, 0], strict=True)
    difference = max(float((w - j).abs().max()) for w, j in pairs)
    return difference / float(J.abs().max())


def _chosen_from(
    name: str, model: nn.Module, x: Tensor, few: int, step: Step
) -> dict[int | None, float]:
    """Seconds of the first outputs for each chunk size; all at once where all fit."""

    def first(point: Tensor) -> Tensor:
        return model(point)[:, :few]

    jacobian(lambda point: first(point)[:, :1], x, 1)  # warm
    found: dict[int | None, float] = {}
    for chunk in CHUNKS:
        step(f"{name}: {few} rows by jacrev, chunk size {_label(chunk)}")
        if chunk is not None or _all_fit(model, x):
            found[chunk] = seconds(partial(jacobian, first, x, chunk))
    return found


def _all_fit(model: nn.Module, x: Tensor) -> bool:
    """Whether all rows at once take less than half of the memory that is free."""

    def peak(rows: int) -> int:
        return peak_bytes(lambda: jacobian(lambda point: model(point)[:, :rows], x, None))

    expected = (peak(4) - peak(2)) / 2 * model(x)[0].numel()
    return expected < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2


def _label(chunk: int | None) -> str:
    return "all" if chunk is None else str(chunk)


def _once(call: Callable[[], Tensor]) -> tuple[Tensor, float, int]:
    """The result of one call, its seconds and its peak."""
    found: list[Tensor] = []
    times: list[float] = []
    peak = peak_bytes(lambda: times.append(seconds(lambda: found.append(call()))))
    return found[0], times[0], peak


def _measured(name: str, repeats: int, step: Step) -> Iterator[RowsRecord]:
    """Once, however many the repeats: minutes of one op after the other vary little."""
    yield compared(name, *network(name), FEW, step)


ROWS = Part(
    "rows",
    models=ALL_ROWS,
    steps=lambda repeats: len(CHUNKS) + 3,
    measured=_measured,
    sections=sections,
)
