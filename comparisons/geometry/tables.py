"""The tables of geometric metrics' records, as Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.embedding.tables import of_kind, spread_over, values
from comparisons.representer.tables import distinct

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["tables"]

Row = dict[str, Any]
UNITS = {"angle": " (rad)", "norm": "", "margin": ""}


def tables(records: Sequence[Row]) -> str:
    """Prediction, failures, shifts, reach and exactness: a heading and a table each."""
    parts = (_prediction, _failures, _shifts, _reach, _exactness)
    return "\n".join(part(records) for part in parts)


def _prediction(records: Sequence[Row]) -> str:
    names = distinct(records, "predictor", "predictor")
    lines = []
    for condition in distinct(records, "predictor", "condition"):
        rows = of_kind(records, "predictor", condition=condition)
        lines.append(
            [condition, str(rows[0]["failed"])] + [_with_interval(row["area"]) for row in rows]
        )
    return _table(
        "Which images fail: AUC of what is known before (95 % interval)",
        ("condition", "failed", *names),
        lines,
    )


def _failures(records: Sequence[Row]) -> str:
    lines = []
    for condition in distinct(records, "failure", "condition"):
        rows = of_kind(records, "failure", condition=condition)
        firsts = ("by_input", "by_feature", "by_confidence")
        lines.append(
            [
                condition,
                spread_over(values(rows, "accuracy")),
                *(f"{sum(row[name] for row in rows)} of {10 * len(rows)}" for name in firsts),
            ]
        )
    header = (
        *("condition", "accuracy after", "failed of the least input margins"),
        *("of the least feature margins", "of the least confidences"),
    )
    return _table("Accuracy, and the ten most fragile of each network", header, lines)


def _shifts(records: Sequence[Row]) -> str:
    lines = []
    for space in ("features", "inputs"):
        for condition in distinct(records, "shift", "condition"):
            for metric in distinct(records, "shift", "metric"):
                rows = of_kind(
                    records, "shift", space=space, condition=condition, metric=metric
                )
                if rows:
                    lines.append(
                        [f"{space}: {metric}{UNITS[metric]}", condition, *_moved(rows)]
                    )
    header = (
        *("metric", "condition", "median before", "after"),
        *("5 % before", "after", "Wasserstein distance"),
    )
    return _table("Shifts of the distributions (mean over networks)", header, lines)


def _moved(rows: list[Row]) -> list[str]:
    ends = [
        statistics.fmean(row[when][place] for row in rows)
        for place in (2, 0)
        for when in ("before", "after")
    ]
    return [*(_signed(end) for end in ends), spread_over(values(rows, "wasserstein"))]


def _reach(records: Sequence[Row]) -> str:
    lines = []
    for network in distinct(records, "reach", "network"):
        rows = of_kind(records, "reach", network=network)
        crossings = [row["crossing"][1] for row in rows]
        lines.append(
            [
                network,
                str(sum(row["images"] for row in rows)),
                *(_percent(_mean(rows, name)) for name in ("inside", "certified")),
                *(f"{_mean(rows, name):.2g}" for name in ("exit", "radius")),
                _percent(_mean(rows, "crosses")),
                f"{statistics.fmean(crossings):.2f}",
            ]
        )
    header = (
        *("network", "images", "boundary inside the region", "certified"),
        *("region ends, in margins", "in the worst direction"),
        *("prediction changes within 3 margins", "first at, in margins (median)"),
    )
    return _table("How far the map holds towards the boundary", header, lines)


def _exactness(records: Sequence[Row]) -> str:
    lines = [
        [
            f"seed {row['seed']}",
            str(row["images"]),
            f"{row['accuracy']:.3f}",
            f"{row['cross_entropy_error']:.0e}",
            f"{row['completeness_error']:.0e}",
        ]
        for row in of_kind(records, "network")
    ]
    header = (
        *("CNN", "images", "accuracy", "largest error of the cross-entropy"),
        "of W x + b, relative",
    )
    return _table("Exactness (float64)", header, lines)


def _mean(rows: list[Row], name: str) -> float:
    return statistics.fmean(values(rows, name))


def _with_interval(area: list[float]) -> str:
    value, low, high = area
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _table(title: str, header: Sequence[str], lines: list[list[str]]) -> str:
    ruled = [list(header), ["---"] + ["---:"] * (len(header) - 1), *lines]
    body = "".join("| " + " | ".join(line) + " |\n" for line in ruled)
    return f"## {title}\n\n{body}"
