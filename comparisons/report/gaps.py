"""The summary's words on what failed and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.plural import counted
from comparisons.report.columns import method_order, nameless

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["failed", "missing"]

MOST = 12  # lines of a list
NUMBER = r"(?<!\w)[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)"


def failed(frame: pd.DataFrame) -> list[str]:
    """Each error once for a method on a model, with the metrics it befell."""
    by_error = frame[frame["failed"]].groupby(["model", "method", "reason"], dropna=False)
    found = by_error["metric"].unique()
    lines = [
        f"{method} on {model} ({', '.join(sorted(metrics))}): {reason}"
        for (model, method, reason), metrics in found.items()
    ]
    return lines[:MOST] + [f"And {len(lines) - MOST} more."] * (len(lines) > MOST)


def missing(frame: pd.DataFrame) -> list[str]:
    """Each reason of values that are undefined, the commonest first."""
    lacking = frame[frame["value"].isna() & ~frame["failed"]]
    if lacking.empty:
        return []
    lines = [
        f"Without a value, each with its reason: {len(lacking):,} of "
        f"{counted(len(frame), 'row')}."
    ]
    told = lacking.assign(reason=_nameless(lacking))
    told["kind"] = told["reason"].str.replace(NUMBER, "…", regex=True)
    groups = [part for _, part in told.groupby(["metric", "kind"])]
    ordered = sorted(groups, key=len, reverse=True)
    lines += [_line(part) for part in ordered[:MOST]]
    return lines + [f"And {len(ordered) - MOST} more."] * (len(ordered) > MOST)


def _line(part: pd.DataFrame) -> str:
    """Reasons that differ in numbers alone, told once, with … for the numbers."""
    methods = sorted(part["method"].unique(), key=method_order)
    who = ", ".join(methods) if len(methods) <= 4 else f"{len(methods)} methods"
    first = part.iloc[0]
    reason = first["reason"] if part["reason"].nunique() == 1 else first["kind"]
    return f"{first['metric']}, {counted(len(part), 'row')} of {who}: {reason}"


def _nameless(lacking: pd.DataFrame) -> list[str]:
    """Reasons that name their method, told once for all methods."""
    return [
        nameless(str(reason or "no reason given"), method)
        for method, reason in zip(lacking["method"], lacking["reason"], strict=True)
    ]
