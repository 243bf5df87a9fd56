"""The summary in plain words: what the numbers show and what they do not, from the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comparisons.plural import counted
from comparisons.report.aggregate import INTERVAL, LEVEL
from comparisons.report.coincidence import coincidences
from comparisons.report.columns import Column, method_order
from comparisons.report.figures.steps import declared_completeness
from comparisons.report.layout import models_of
from comparisons.report.number import number, numbers

if TYPE_CHECKING:
    from typing import Any

    import pandas as pd

    from comparisons.report.aggregate import Analysis

__all__ = ["Statement", "summary"]

OURS = "ILIN"
ROUNDING = 1e-4  # logits of float32 networks: some ten, with sums of some thousand terms
EXACT = " There, being exact adds b to the sum, and changes no attribution."
MOST = 12  # lines of a list


@dataclass(frozen=True)
class Statement:
    """A heading, and what is said under it."""

    heading: str
    lines: list[str]


def summary(frame: pd.DataFrame, found: Analysis) -> list[Statement]:
    """Statements in the order of reading; only those that the rows have something for."""
    table = found.table
    said = [
        Statement("What was compared", _compared(frame, table)),
        Statement("Do the declared sums hold?", _sums(table)),
        Statement("ILIN and InputXGradient", _coincidence(frame)),
        Statement("Where ILIN stands", _standing(table)),
        Statement("Sanity checks", _sanity(table)),
        Statement("What failed", _failed(frame)),
        Statement("What is missing", _missing(frame)),
        Statement("What these numbers do not show", _limits(table, found)),
    ]
    return [statement for statement in said if statement.lines]


def _compared(frame: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    methods = sorted(frame["method"].unique(), key=method_order)
    controls = [m for m in methods if method_order(m)[0]]
    lines = [
        f"{counted(len(methods) - len(controls), 'method')} and "
        f"{counted(len(controls), 'control')} in "
        f"{counted(frame['metric'].nunique(), 'metric')}: {counted(len(frame), 'row')}."
    ]
    for model, part in frame.groupby("model"):
        seeds = max(1, part["model_seed"].nunique())
        data = ", ".join(sorted(set(part["dataset"]) - {""}))
        lines.append(
            f"{model}{f' on {data}' if data else ''}: {counted(seeds, 'model seed')}, "
            f"{counted(part['sample'].nunique(), 'example')}."
        )
    return lines


def _sums(table: pd.DataFrame) -> list[str]:
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
    lines = [f"The error is that of {column.label}; the greatest mean of any model counts."]
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


def _coincidence(frame: pd.DataFrame) -> list[str]:
    """W ∘ x is the gradient times the input on piecewise linear networks; is it here?"""
    return [
        f"{one.model}: {'the same' if one.same else 'not the same'}. Of "
        f"{counted(one.rows, 'row')} that both have (completeness and cost aside) the greatest "
        f"relative difference is {number(one.greatest)}{'' if one.same else f', in {one.where}'}."
        + (EXACT if one.same else "")
        for one in coincidences(frame, OURS, "InputXGradient")
    ]


def _standing(table: pd.DataFrame) -> list[str]:
    lines = []
    for model in models_of(table):
        part = table[(table["model"] == model) & table["direction"].isin(["higher", "lower"])]
        part = part[part["family"] != "randomisation"]
        ours = part[(part["method"] == OURS) & (part["n"].fillna(0) > 0)]
        if ours.empty:
            continue
        behind = [_behind(line, part) for line in ours[~ours["best"].astype(bool)].itertuples()]
        alone = int(ours["best"].astype(bool).sum())
        tied = int(ours["tied"].astype(bool).sum()) - alone
        lines.append(
            f"{model}: of {counted(len(ours), 'column')} with a direction {OURS} has the best "
            f"value in {alone}, is tied with the best in {tied} and is behind it in "
            f"{len(ours) - alone - tied}."
        )
        said = [text for text in behind if text]
        lines += [f"{model}, behind: {text}" for text in said[:MOST]]
        if len(said) > MOST:
            lines.append(
                f"{model}: and {counted(len(said) - MOST, 'more column')}; see the tables."
            )
    return lines


def _behind(line: Any, part: pd.DataFrame) -> str:
    if line.tied:
        return ""
    column = Column(line.metric, line.variant, line.quantity)
    best = next(_of(part, column)[lambda found: found["best"].astype(bool)].itertuples())
    test = (
        "the paired differences' interval leaves out 0"
        if line.tie_rule == INTERVAL
        else f"p = {number(line.p_holm)} after Holm, effect {line.effect:+.2f}"
    )
    return (
        f"{column.label} {column.direction.arrow}: {best.method} {_cell(best)}, {OURS} "
        f"{_cell(line)}; {test}."
    )


def _cell(line: Any) -> str:
    value, low, high = numbers(line.value, line.low, line.high)
    return f"{value} [{low}, {high}]"


def _sanity(table: pd.DataFrame) -> list[str]:
    held = table[(table["family"] == "randomisation") & (table["verdict"] != "")]
    lines = []
    for key, part in held.groupby(["model", "metric", "variant", "quantity"]):
        model, *names = map(str, key)
        by_verdict = {
            verdict: sorted(found["method"], key=method_order)
            for verdict, found in part.groupby("verdict")
        }
        if set(by_verdict) == {"no null"}:
            continue
        told = "; ".join(f"{said}: {', '.join(names)}" for said, names in by_verdict.items())
        lines.append(f"{model}, {Column(*names).label}: {told}.")
    lines = lines[:MOST] + ["And more; see the tables."] * (len(lines) > MOST)
    if lines or (table["family"] == "randomisation").any():
        lines.append(
            "This is a check, not a ranking: inside the null band says that nothing of the "
            "trained network's map is left once its weights are random, which holds of fresh "
            "noise too; blind, that the map never depended on them. A method that multiplies "
            "by the input keeps what the input contributes, in its null as well."
        )
    return lines


def _failed(frame: pd.DataFrame) -> list[str]:
    failed = frame[frame["failed"]]
    found = failed.groupby(["model", "method", "reason"], dropna=False)["metric"].unique()
    lines = [
        f"{method} on {model} ({', '.join(sorted(metrics))}): {reason}"
        for (model, method, reason), metrics in found.items()
    ]
    return lines[:MOST] + [f"And {len(lines) - MOST} more."] * (len(lines) > MOST)


def _missing(frame: pd.DataFrame) -> list[str]:
    lacking = frame[frame["value"].isna() & ~frame["failed"]]
    if lacking.empty:
        return []
    lines = [
        f"Without a value, each with its reason: {len(lacking):,} of "
        f"{counted(len(frame), 'row')}."
    ]
    found = lacking.assign(reason=_nameless(lacking))
    found = found.groupby(["metric", "reason"])["method"].agg(["size", "unique"])
    ordered = found.sort_values("size", ascending=False, kind="stable")
    for (metric, reason), line in ordered.head(MOST).iterrows():
        methods = sorted(line["unique"], key=method_order)
        who = ", ".join(methods) if len(methods) <= 4 else f"{len(methods)} methods"
        lines.append(f"{metric}, {counted(line['size'], 'row')} of {who}: {reason}")
    return lines


def _nameless(lacking: pd.DataFrame) -> list[str]:
    """Reasons that name their method, told once for all methods."""
    return [
        str(reason or "no reason given").replace(method, "the method")
        for method, reason in zip(lacking["method"], lacking["reason"], strict=True)
    ]


def _limits(table: pd.DataFrame, found: Analysis) -> list[str]:
    held = table[table["model"].isin(models_of(table))]
    lines = []
    if (held["seeds"].max() or 0) <= 1:
        lines.append(
            "One model seed: the intervals are over examples, and say nothing of how another "
            "training of the same network would come out."
        )
    elif held["seeds"].max() < 5:
        lines.append(
            f"{counted(held['seeds'].max(), 'model seed')}: the intervals allow for so "
            "few, and are wide; with two or three they are still rough."
        )
    if (held["tie_rule"] == INTERVAL).any():
        pairs = int(held["examples"].max())
        lines.append(
            f"At most {counted(pairs, 'example')}: after Holm the signed-rank test could "
            "tell nothing apart in some tables, whatever the values. There ties go by "
            "uncorrected intervals of paired differences, which call more different than there is."
        )
    spread = len(found.pairs)
    told = int((found.pairs["p_holm"] < LEVEL).sum())
    if spread:
        lines.append(
            f"{told:,} of {counted(spread, 'paired comparison')} told apart after Holm's "
            "correction."
        )
    lines += [
        "Exact is not readable: a map that adds up to the output may still look like noise.",
        "What is explained are logits, not probabilities; a softmax would change every value.",
        "Metrics that remove features ask the network about inputs it was not trained on; the "
        "baseline is part of the question.",
        "The networks, data and parameters are those named here; nothing is said of others.",
    ]
    return lines
