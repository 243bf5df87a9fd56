"""The tables of an expansion's records, as Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from comparisons.embedding.tables import of_kind, spread_over, values

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["backgrounds_of", "percent", "seeds_of", "share_of", "tables"]

Row = dict[str, Any]
STRONGEST = 12


def tables(records: Sequence[Row]) -> str:
    """Shares, fields and what was compared: a heading and a table each."""
    parts = (_networks, _shares, _fields, _pairs, _predictions, _agreements, _checks)
    return "\n".join(filter(None, (part(records) for part in parts)))


def backgrounds_of(records: Sequence[Row]) -> list[str]:
    """In the order in which they were measured."""
    return list(dict.fromkeys(row["background"] for row in of_kind(records, "share")))


def seeds_of(records: Sequence[Row]) -> list[int | None]:
    """Of the networks."""
    return list(dict.fromkeys(row["seed"] for row in of_kind(records, "network")))


def percent(share: float, places: int = 1) -> str:
    """A share in percent, a minus as long as a plus.

    >>> percent(0.0784), percent(-0.001)
    ('7.8 %', '−0.1 %')
    """
    return f"{100 * share:.{places}f} %".replace("-", "−")


def share_of(row: Row) -> str:
    """A share and its standard error, if it has one."""
    if row["error"] is None:
        return percent(row["share"], 2)
    return f"{percent(row['share'])} ± {percent(row['error'])}"


def _networks(records: Sequence[Row]) -> str:
    lines = [
        [
            row["network"],
            _seed(row),
            row["weights"][:12],
            *(
                "" if row[name] is None else percent(row[name])
                for name in ("accuracy", "train_accuracy")
            ),
        ]
        for row in of_kind(records, "network")
    ]
    header = ("network", "seed", "weights", "held-out accuracy", "training accuracy")
    return _table("Networks", header, lines)


def _shares(records: Sequence[Row]) -> str:
    rows = of_kind(records, "share")
    orders = list(dict.fromkeys(row["order"] for row in rows))
    names = [f"order {order}" if order != "more" else "more" for order in orders]
    lines = []
    for background in backgrounds_of(records):
        for seed in seeds_of(records):
            found = of_kind(rows, "share", background=background, seed=seed)
            each = {row["order"]: share_of(row) for row in found}
            mean = f"{found[0]['mean']:.2f} ± {found[0]['deviation']:.2f}".replace("-", "−")
            lines.append([background, _seed(found[0]), mean, *map(each.get, orders)])
    header = ("background", "seed", "logit: mean ± deviation", *names)
    return _table("Variance explained by order", header, lines)


def _fields(records: Sequence[Row]) -> str:
    """The largest of the first seed."""
    lines = []
    for background in backgrounds_of(records):
        rows = of_kind(records, "field", background=background, seed=seeds_of(records)[0])
        rows.sort(key=lambda row: -abs(row["field"]))
        for row in rows[:STRONGEST]:
            error = "" if row["error"] is None else f" ± {row['error']:.3f}"
            value = f"{row['field']:+.3f}{error}".replace("-", "−")
            lines.append([background, row["position"], f"`{row['category']}`", value])
    return _table("The largest h", ("background", "position", "category", "h"), lines)


def _pairs(records: Sequence[Row]) -> str:
    lines = []
    for background in backgrounds_of(records):
        rows = of_kind(records, "strength", background=background, seed=seeds_of(records)[0])
        rows.sort(key=lambda row: -row["strength"])
        for row in rows[: STRONGEST // 2]:
            size = math.sqrt(max(0.0, row["strength"]))
            lines.append([background, row["first"], row["second"], f"{size:.3f}"])
    header = ("background", "position", "and position", "root mean square of J")
    return _table("The strongest couplings", header, lines)


def _predictions(records: Sequence[Row]) -> str:
    rows = of_kind(records, "prediction")
    lines = []
    for background in backgrounds_of(records):
        for by in dict.fromkeys(row["by"] for row in rows):
            found = of_kind(rows, "prediction", background=background, by=by)
            cells = [
                spread_over(values(found, name))
                for name in ("determination", "agreement", "accuracy")
            ]
            lines.append([background, by, *cells])
    header = ("background", "by", "R² of the logit", "same class", "accuracy")
    return _table("Held-out windows predicted (mean over seeds, least–greatest)", header, lines)


def _agreements(records: Sequence[Row]) -> str:
    rows = of_kind(records, "agreement")
    lines = []
    for background in backgrounds_of(records):
        of_background = of_kind(rows, "agreement", background=background)
        for pair in dict.fromkeys((row["first"], row["second"]) for row in of_background):
            found = of_kind(of_background, "agreement", first=pair[0], second=pair[1])
            reach = f"{min(values(found, 'lowest')):.2f}–{max(values(found, 'highest')):.2f}"
            cells = [spread_over(values(found, "median")), reach]
            lines.append([background, *pair, *cells])
    header = ("background", "reading", "beside", "median correlation", "of windows")
    return _table("Readings compared (mean over seeds, least–greatest)", header, lines)


def _checks(records: Sequence[Row]) -> str:
    lines = [
        [
            row["seed"],
            row["positions"],
            f"{row['patterns']:,}",
            f"{row['full_error']:.0e}",
            f"{row['gauge_error']:.0e}",
            f"{row['repeats']} × {row['samples']}",
            percent(row["covered"]),
            percent(row["within"]),
        ]
        for row in of_kind(records, "check")
    ]
    header = (
        *("seed", "positions", "patterns", "error of all orders", "gauge error"),
        *("samples", "within 1.96 errors", "within 3"),
    )
    return _table("Sampling beside every pattern", header, lines)


def _seed(row: Row) -> str:
    return "" if row["seed"] is None else str(row["seed"])


def _table(title: str, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    if not lines:
        return ""
    rows = [header, ["---"] * len(header), *lines]
    body = "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)
    return f"### {title}\n\n{body}\n"


def _cell(cell: Any) -> str:
    return "" if cell is None else str(cell)
