"""The summary's words on what failed and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.plural import counted
from comparisons.report.columns import method_order

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["failed", "missing"]

MOST = 12  # lines of a list


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
