"""The tables of representer points' records, as Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.embedding.tables import of_kind, spread_over, values
from comparisons.representer.detection import CHECKED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["distinct", "milliseconds", "tables"]

Row = dict[str, Any]
SHOWN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def tables(records: Sequence[Row]) -> str:
    """Networks, detection, refits, voters and times: a heading and a table each."""
    areas = [_areas(records, epochs) for epochs in distinct(records, "detection", "epochs")]
    found = [_found(records, flipped) for flipped in distinct(records, "detection", "flipped")]
    parts = [_networks(records), *areas, *found]
    return "\n".join([*parts, _refits(records), _statics(records), _times(records)])


def distinct(records: Sequence[Row], kind: str, name: str) -> list[Any]:
    """The values that a kind's records have of an attribute, in their order."""
    return list(dict.fromkeys(row[name] for row in of_kind(records, kind)))


def _networks(records: Sequence[Row]) -> str:
    lines = []
    for epochs in distinct(records, "network", "epochs"):
        for flipped in distinct(records, "network", "flipped"):
            rows = of_kind(records, "network", epochs=epochs, flipped=flipped)
            if rows:
                names = ("train_accuracy", "test_accuracy")
                lines.append(
                    [f"{epochs} epochs, {_percent(flipped)} flipped"]
                    + [spread_over(values(rows, name)) for name in names]
                )
    header = ("network", "accuracy on its own labels", "held out")
    return _table("Networks (mean over seeds, least–greatest)", header, lines)


def _areas(records: Sequence[Row], epochs: int) -> str:
    rows = of_kind(records, "detection", epochs=epochs)
    shares = distinct(rows, "detection", "flipped")
    lines = [
        [method]
        + [
            spread_over(
                values(of_kind(rows, "detection", method=method, flipped=flipped), "area")
            )
            for flipped in shares
        ]
        for method in distinct(rows, "detection", "method")
    ]
    header = ("ranking", *(f"{_percent(flipped)} flipped" for flipped in shares))
    title = f"Flipped labels: area under found against checked, {epochs} epochs"
    return _table(title, header, lines)


def _found(records: Sequence[Row], flipped: float) -> str:
    epochs = max(distinct(records, "detection", "epochs"))
    rows = of_kind(records, "detection", epochs=epochs, flipped=flipped)
    lines = []
    for method in distinct(rows, "detection", "method"):
        curves = [row["found"] for row in of_kind(rows, "detection", method=method)]
        means = [
            statistics.fmean(curve[CHECKED.index(share)] for curve in curves) for share in SHOWN
        ]
        lines.append([method, *map(_percent, means)])
    header = ("ranking", *(f"{_percent(share)} checked" for share in SHOWN))
    title = f"Share found of {_percent(flipped)} flipped labels, {epochs} epochs"
    return _table(title, header, lines)


def _refits(records: Sequence[Row]) -> str:
    rows = of_kind(records, "refit")
    lines = []
    for targets in distinct(rows, "refit", "targets"):
        for penalty in distinct(rows, "refit", "penalty"):
            mine = of_kind(rows, "refit", targets=targets, penalty=penalty)
            lines.append(
                [
                    f"{targets}, λ = {penalty:g}",
                    f"{statistics.fmean(values(mine, 'evaluations')):.0f}",
                    f"{max(values(mine, 'stationarity')):.0e}",
                    f"{max(values(mine, 'test_identity')):.0e}",
                    *(
                        spread_over(values(mine, name))
                        for name in ("correlation", "agreement", "test_agreement")
                    ),
                ]
            )
    header = (
        *("fitted to", "passes", "stationarity", "identity, held out"),
        *("logits' correlation", "same class first", "held out"),
    )
    return _table("The refit beside the network, labels as they are", header, lines)


def _statics(records: Sequence[Row]) -> str:
    rows = of_kind(records, "static")
    lines = []
    for method in distinct(rows, "static", "method"):
        mine = of_kind(rows, "static", method=method)
        shares = ("same_first", "same_set", "shared")
        lines.append(
            [method]
            + [spread_over(values(mine, name), 2) for name in shares]
            + [f"{statistics.fmean(values(mine, 'distinct')):.0f}"]
        )
    header = (
        *("votes", "same strongest voter", "same five", "shared of the five"),
        "examples among anyone's five",
    )
    return _table("How static voters are within a predicted class", header, lines)


def _times(records: Sequence[Row]) -> str:
    rows = of_kind(records, "time")
    lines = [
        [
            row["method"],
            f"{row['images']}",
            milliseconds([row]),
            f"{statistics.median(row['ratios']):.2g}",
            f"{row['once']:.2f}",
        ]
        for row in rows
    ]
    header = (
        *("method", "test images at once", "ms for each"),
        *("times TracInCPFast's speed", "once before, s"),
    )
    return _table("Processor time for a test image (medians)", header, lines)


def milliseconds(rows: Sequence[Row]) -> str:
    """The median over all repeats, of a second's thousandths."""
    found = 1000 * statistics.median(each for row in rows for each in row["seconds"])
    return f"{found:,.0f}" if found >= 100 else f"{found:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _table(title: str, header: Sequence[str], lines: list[list[str]]) -> str:
    rules = ["---", *["---:"] * (len(header) - 1)]
    rows = (" | ".join(line) for line in ([*header], rules, *lines))
    return f"## {title}\n\n" + "".join(f"| {row} |\n" for row in rows)
