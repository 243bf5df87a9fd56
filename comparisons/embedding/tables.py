"""The tables of a map's records, as Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.embedding.moves import BEYOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["of_kind", "spread_over", "tables", "values"]

Row = dict[str, Any]


def tables(records: Sequence[Row]) -> str:
    """Neighbours kept, loadings by class, pairs and moves: a heading and a table each."""
    parts = (_preservation, _classes, _pairs, _moves)
    return "\n".join(part(records) for part in parts)


def of_kind(records: Sequence[Row], kind: str, **facts: Any) -> list[Row]:
    """The records of a kind that have these facts."""
    return [
        row
        for row in records
        if row["kind"] == kind and all(row[name] == value for name, value in facts.items())
    ]


def values(rows: Iterable[Row], name: str) -> list[float]:
    """One of the numbers of each row."""
    return [float(row[name]) for row in rows]


def spread_over(found: Sequence[float], places: int = 3) -> str:
    """A mean and, of several, the least and the greatest.

    >>> spread_over([0.5, 0.7]), spread_over([0.25], places=2)
    ('0.600 (0.500–0.700)', '0.25')
    """
    mean = f"{statistics.fmean(found):.{places}f}"
    if len(found) == 1:
        return mean
    return f"{mean} ({min(found):.{places}f}–{max(found):.{places}f})"


def _preservation(records: Sequence[Row]) -> str:
    rows = of_kind(records, "preservation")
    lines = [
        [name, points, *_kept(of_kind(rows, "preservation", map=name, points=points))]
        for points in ("held-out", "training")
        for name in dict.fromkeys(row["map"] for row in rows)
        if of_kind(rows, "preservation", map=name, points=points)
    ]
    header = ("map", "points", "trustworthiness", "continuity", "label accuracy")
    return _table("Neighbours kept (mean over seeds, least–greatest)", header, lines)


def _kept(rows: list[Row]) -> list[str]:
    names = ("trustworthiness", "continuity", "accuracy")
    return [spread_over(values(rows, name)) for name in names]


def _classes(records: Sequence[Row]) -> str:
    rows = of_kind(records, "class")
    names = ("agreement", "agreement_with_all", "overlap_as_scores", "overlap_with_pca")
    lines = [
        [label]
        + [spread_over(values(of_kind(rows, "class", label=label), name), 2) for name in names]
        for label in dict.fromkeys(row["label"] for row in rows)
    ]
    header = (
        *("class", "W Σ^½: cosine with the class's mean", "with the mean of all"),
        *("overlap with PCA (cos²)", "that of W alone"),
    )
    return _table("Loadings by class (mean over seeds, least–greatest)", header, lines)


def _pairs(records: Sequence[Row]) -> str:
    rows, lines = of_kind(records, "pair"), []
    for name, is_alike in (("different classes", False), ("the same class", True)):
        part = [row for row in rows if (row["first_label"] == row["second_label"]) is is_alike]
        lines.append([name, str(len(part)), *_shares(part)])
    header = ("pairs of", "pairs", "distance", "by features", "by loadings", "by bias")
    return _table("Distances explained (medians; parts in per cent)", header, lines)


def _shares(rows: list[Row]) -> list[str]:
    parts = [
        statistics.median(100 * row[part] / row["distance"] for row in rows)
        for part in ("by_features", "by_loadings", "by_bias")
    ]
    median = statistics.median(values(rows, "distance"))
    return [f"{median:.1f}", *(f"{part:.0f} %".replace("-", "−") for part in parts)]


def _moves(records: Sequence[Row]) -> str:
    rows = of_kind(records, "move")
    lines = [
        [f"axis {axis}", *_moved(of_kind(rows, "move", axis=axis))]
        for axis in (1, 2)
        if of_kind(rows, "move", axis=axis)
    ]
    far = [f"error at {times:g} t*" for times in BEYOND]
    header = ("along", "moves", "t*", "moved up to t*", "largest error inside", *far)
    return _table("Moves along a loading (medians)", header, lines)


def _moved(rows: list[Row]) -> list[str]:
    far = [
        statistics.median(row["beyond"][place] for row in rows) for place in range(len(BEYOND))
    ]
    return [
        str(len(rows)),
        f"{statistics.median(values(rows, 'step')):.3f}",
        f"{statistics.median(values(rows, 'foretold')):.2f}",
        f"{max(values(rows, 'inside')):.0e}",
        *(f"{100 * error:.1f} %" for error in far),
    ]


def _table(title: str, header: Sequence[str], lines: list[list[str]]) -> str:
    ruled = [list(header), ["---"] + ["---:"] * (len(header) - 1), *lines]
    body = "".join("| " + " | ".join(line) + " |\n" for line in ruled)
    return f"## {title}\n\n{body}"
