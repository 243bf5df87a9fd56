"""The summary's words on ILIN: whether sums hold, what it coincides with, where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.plural import counted
from comparisons.report.aggregate import INTERVAL
from comparisons.report.coincidence import coincidences
from comparisons.report.columns import Column, method_order
from comparisons.report.figures.steps import declared_completeness
from comparisons.report.layout import models_of
from comparisons.report.number import number

if TYPE_CHECKING:
    from typing import Any

    import pandas as pd

__all__ = ["coincidence", "standing", "sums"]

OURS = "ILIN"
ROUNDING = 1e-4  # logits of float32 networks: some ten, with sums of some thousand terms
EXACT = "Where they are the same, being exact adds b to the sum, and changes no attribution."
MOST = 12  # lines of a list
BASELINE_SUM = ("completeness", "baseline")
NO_CLAIM = f" {OURS} does not claim this sum: what it declares is F(x) = Σφ + b."
BEHIND = (
    "Behind: the paired differences' 95 % interval leaves out 0, or the signed-rank test gives "
    "the p that is named. The intervals of the values stand in the tables."
)


def sums(table: pd.DataFrame) -> list[str]:
    """Which methods add up to what they declare."""
    columns = declared_completeness(table)
    if not columns:
        return []
    (column, *_) = sorted(columns, key=lambda found: "relative" not in found.quantity)
    held = _of(table[table["model"].isin(models_of(table))], column)
    held = held[~held["control"].astype(bool)]
    worst = held[held["n"].fillna(0) > 0].groupby("method")["value"].max()
    exact = {m: v for m, v in worst.items() if v <= ROUNDING}
    wrong = {m: v for m, v in worst.items() if v > ROUNDING}
    silent = held.groupby("method")["n"].sum()
    none = sorted((m for m, n in silent.items() if n == 0), key=method_order)
    lines = [
        f"The error is that of {column.label}; the greatest {column.statistic} of any model "
        f"counts, and what is at most {number(ROUNDING)} is rounding."
    ]
    if exact:
        lines.append(f"Holds up to rounding: {_listed(exact)}.")
    if wrong:
        lines.append(f"Does not hold: {_listed(wrong)}.")
    if none:
        lines.append(f"No value, for they declare no sum or failed: {', '.join(none)}.")
    return lines


def _listed(values: dict[Any, float]) -> str:
    ordered = sorted(values, key=method_order)
    return ", ".join(f"{method} ({number(values[method])})" for method in ordered)


def _of(table: pd.DataFrame, column: Column) -> pd.DataFrame:
    same = (table["metric"] == column.metric) & (table["variant"] == column.variant)
    return table[same & (table["quantity"] == column.quantity)]


def coincidence(frame: pd.DataFrame) -> list[str]:
    """W ∘ x is the gradient times the input on piecewise linear networks; is it here?"""
    found = list(coincidences(frame, OURS, "InputXGradient"))
    lines = [
        f"{one.model}: {'the same' if one.same else 'not the same'}. Of "
        f"{counted(one.rows, 'row')} that both have (completeness and cost aside) the greatest "
        f"relative difference is {number(one.greatest)}"
        f"{'' if one.same else f', in {one.where}'}."
        for one in found
    ]
    return lines + [EXACT] * any(one.same for one in found)


def standing(table: pd.DataFrame) -> list[str]:
    """In how many columns of each model it is best, tied or behind, and behind whom."""
    lines = []
    for model in models_of(table):
        part = table[(table["model"] == model) & table["direction"].isin(["higher", "lower"])]
        part = part[part["family"] != "randomisation"]
        ours = part[(part["method"] == OURS) & (part["n"].fillna(0) > 0)]
        if ours.empty:
            continue
        alone = int(ours["best"].astype(bool).sum())
        tied = int(ours["tied"].astype(bool).sum()) - alone
        lines.append(
            f"{model}: of {counted(len(ours), 'column')} with a direction {OURS} has the best "
            f"value in {alone}, is tied with the best in {tied} and is behind it in "
            f"{len(ours) - alone - tied}."
        )
        lines += _all_behind(model, ours[~ours["tied"].astype(bool)], part)
    return [*lines, BEHIND] if any(", behind: " in line for line in lines) else lines


def _all_behind(model: str, ours: pd.DataFrame, part: pd.DataFrame) -> list[str]:
    """A short line for each column, the costs last."""
    ordered = ours.iloc[(ours["family"] == "cost").to_numpy().argsort(kind="stable")]
    lines = [f"{model}, behind: {_behind(line, part)}" for line in ordered.itertuples()]
    more = counted(len(lines) - MOST, "more column")
    return lines[:MOST] + [f"{model}: and {more}; see the tables."] * (len(lines) > MOST)


def _behind(line: Any, part: pd.DataFrame) -> str:
    column = Column(line.metric, line.variant, line.quantity)
    best = next(_of(part, column)[lambda found: found["best"].astype(bool)].itertuples())
    ours, theirs = number(line.value), number(best.value)
    test = "" if line.tie_rule == INTERVAL else f"; p = {number(line.p_holm)} after Holm"
    claim = NO_CLAIM if (column.metric, column.quantity) == BASELINE_SUM else ""
    arrow = column.direction.arrow
    return f"{column.label} {arrow}: {best.method} {theirs}, {OURS} {ours}{test}.{claim}"
