"""What the page says of all rows: time and memory, the arithmetic limit, and chunk sizes."""

from __future__ import annotations

from typing import Any

from comparisons.timing.mapping.limit import limit, waist_limit
from comparisons.timing.mapping.part import Section

__all__ = ["sections"]


def sections(rows: list[dict[str, Any]]) -> list[Section]:
    """From the rows of the records."""
    return [_all_rows(rows), _limits(rows), _chunks(rows)]


def _all_rows(rows: list[dict[str, Any]]) -> Section:
    text = (
        "linearize(network, x).weight() writes out the row of every output. jacrev is "
        "torch.func.jacrev with the chunk size that was fastest on the first outputs (below), "
        "of a network whose parameters take no gradient. One run of each."
    )
    columns = {
        "network": "evaluation mode, one image",
        "by": "the map, or jacrev with its chunk size",
        "outputs": "rows of the result",
        "s": "wall time of all rows, forward pass included",
        "ratio": "this time / jacrev's",
        "MB": "most bytes that PyTorch's allocator held at once, the result included",
        "besides the result": "the same less the bytes of the result",
        "difference": "largest |W − J| / largest |J|; – where W is not the derivative J",
    }
    return Section("All rows", text, columns, [line for row in rows for line in _pair(row)])


def _pair(row: dict[str, Any]) -> list[list[str]]:
    difference = "–" if row["difference"] is None else f"{row['difference']:.0e}"
    by_map = (row["seconds"], row["peak_bytes"], difference)
    by_jacrev = (row["reference_seconds"], row["reference_peak_bytes"], "")
    return [
        [
            row["model"],
            label,
            str(row["outputs"]),
            f"{seconds:.1f}",
            f"{seconds / row['reference_seconds']:.2f}",
            f"{peak / 1e6:.0f}",
            f"{(peak - row['result_bytes']) / 1e6:.0f}",
            off,
        ]
        for label, (seconds, peak, off) in (
            ("map", by_map),
            (f"jacrev, {row['chunk']}", by_jacrev),
        )
    ]


def _limits(rows: list[dict[str, Any]]) -> Section:
    text = (
        "What the multiplications alone would take at the rate of a large matrix product, "
        "measured in the same run on as many threads. Where the last layer is linear, its "
        "features' rows give all outputs' by one product, which needs fewer multiplications "
        "if there are fewer features than outputs: there the map may beat the first limit, "
        "and no method that passes backward for each output can."
    )
    columns = {
        "network": "evaluation mode, one image",
        "by": "the map, or jacrev with its chunk size",
        "GFLOP a row": "of one backward pass with respect to the input alone; the map's own, "
        "whose attention patterns and gates take no gradient, or the network's",
        "GFLOP/s": "the fastest of some float32 products of 2048 × 2048 matrices",
        "limit, s": "outputs × GFLOP a row / GFLOP/s",
        "× limit": "the time of all rows / this limit",
        "features": "of the last linear layer",
        "waist limit, s": "(features × GFLOP a row + 2 outputs × features × inputs) / GFLOP/s",
        "× waist limit": "the time of all rows / this limit",
    }
    lines = [
        _limit_line(row, label, row[f"{kind}seconds"], row[f"{kind}flops"])
        for row in rows
        for label, kind in (("map", ""), (f"jacrev, {row['chunk']}", "reference_"))
    ]
    return Section("The arithmetic limit", text, columns, lines)


def _limit_line(row: dict[str, Any], label: str, seconds: float, flops: int) -> list[str]:
    plain = limit(row["outputs"], flops, row["rate"])
    line = [
        row["model"],
        label,
        f"{flops / 1e9:.2f}",
        f"{row['rate'] / 1e9:.0f}",
        f"{plain:.1f}",
        f"{seconds / plain:.2f}",
    ]
    if row["features"] is None:
        return [*line, "–", "–", "–"]
    waist = waist_limit(row["outputs"], row["features"], row["inputs"], flops, row["rate"])
    return [*line, str(row["features"]), f"{waist:.1f}", f"{seconds / waist:.2f}"]


def _chunks(rows: list[dict[str, Any]]) -> Section:
    text = "How jacrev's chunk size was chosen: one run of each on the first outputs."
    columns = {
        "network": "its first outputs alone",
        "chunk size": "rows computed together; 1 is a loop, all is chunk_size=None (left out "
        "where all rows of the whole network would take half of the free memory)",
        "rows": "outputs asked for",
        "s": "wall time of all of them",
        "ms a row": "this time / rows",
    }
    lines = [
        [row["model"], size, str(row["few"]), f"{s:.1f}", f"{1e3 * s / row['few']:.1f}"]
        for row in rows
        for size, s in row["chunks"].items()
    ]
    return Section("Chunk sizes of jacrev", text, columns, lines)
