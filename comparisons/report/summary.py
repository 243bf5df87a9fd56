"""The summary in plain words: what the numbers show and what they do not, from the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comparisons.plural import counted
from comparisons.report.aggregate import INTERVAL, LEVEL
from comparisons.report.columns import Column, method_order
from comparisons.report.gaps import failed, missing
from comparisons.report.layout import models_of
from comparisons.report.standing import coincidence, standing, sums

if TYPE_CHECKING:
    import pandas as pd

    from comparisons.report.aggregate import Analysis

__all__ = ["Statement", "summary"]

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
        Statement("Do the declared sums hold?", sums(table)),
        Statement("ILIN and InputXGradient", coincidence(frame)),
        Statement("Where ILIN stands", standing(table)),
        Statement("Sanity checks", _sanity(table)),
        Statement("What failed", failed(frame)),
        Statement("What is missing", missing(frame)),
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
            "noise too; above, that something is; below, that the maps are less alike than "
            "those of two random networks; blind, that the map never depended on them. A "
            "method that multiplies by the input keeps what the input contributes, in its null "
            "as well."
        )
    return lines


def _limits(table: pd.DataFrame, found: Analysis) -> list[str]:
    held = table[table["model"].isin(models_of(table))]
    return [
        *_of_seeds(max(map(int, held["seeds"].fillna(0)), default=0)),
        *_of_tests(held, found),
        "Exact is not readable: a map that adds up to the output may still look like noise.",
        "What is explained are logits, not probabilities; a softmax would change every value.",
        "Metrics that remove features ask the network about inputs it was not trained on; the "
        "baseline is part of the question.",
        "The networks, data and parameters are those named here; nothing is said of others.",
    ]


def _of_seeds(seeds: int) -> list[str]:
    if seeds <= 1:
        return [
            "One model seed: the intervals are over examples, and say nothing of how another "
            "training of the same network would come out."
        ]
    if seeds < 5:
        return [
            f"{counted(seeds, 'model seed')}: the intervals allow for so "
            "few, and are wide; with two or three they are still rough."
        ]
    return []


def _of_tests(held: pd.DataFrame, found: Analysis) -> list[str]:
    lines = []
    if (held["tie_rule"] == INTERVAL).any():
        pairs = int(held["examples"].max())
        lines.append(
            f"At most {counted(pairs, 'example')}: after Holm the signed-rank test could "
            "tell nothing apart in some tables, whatever the values. There ties go by "
            "uncorrected intervals of paired differences, which call more different than there "
            "is."
        )
    spread = len(found.pairs)
    told = int((found.pairs["p_holm"] < LEVEL).sum())
    if spread:
        lines.append(
            f"{told:,} of {counted(spread, 'paired comparison')} told apart after Holm's "
            "correction."
        )
    return lines
