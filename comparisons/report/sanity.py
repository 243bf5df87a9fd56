"""Randomisation as a sanity check: each similarity beside what chance gives, never ranked.

A method that depends on the network's weights gives, once all are random, maps that are as
similar to the original as those of two random networks are to each other: the *null*. A value
is inside the null band, above or below it, or undecided where its interval reaches over an
end. Above, something is left that chance does not give; below, the maps of the trained and the
randomised network are less alike than those of two random ones, so training is seen in them. A
method whose null is 1 too gives any two networks the same map: it is *blind* to them. A
quantity named with the word "null" holds the null of the quantity without it.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons.report.frame import blocks
from comparisons.report.line import line_of
from comparisons.statistics import interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from comparisons.report.columns import Column

__all__ = ["Band", "layer_order", "null_band", "of_null", "sanity_lines", "verdict"]

Band = tuple[float, float]
SAME = 0.999  # a similarity above it is that of equal maps
MANY = 40  # draws from which quantiles are taken; of fewer the least and the greatest


def of_null(quantity: str) -> str | None:
    """The quantity whose null this is; None of one that is no null.

    >>> of_null("abs_spearman_null"), of_null("null"), of_null("spearman")
    ('abs_spearman', '', None)
    """
    found, count = _NULL.subn("", quantity)
    return found if count else None


_NULL = re.compile(r"^null[ _]|[ _]null$|^null$")


def sanity_lines(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Lines of the aggregated frame, of the last layer of each cascade."""
    for (_, metric, variant), part in frame.groupby(["model", "metric", "variant"]):
        order = layer_order(part)
        last = part[part["layer"].isna() | part["layer"].isin(order[-1:])]
        note = f"after {order[-1]}" if order else ""
        if "independent" in f"{metric} {variant}":
            last, note = part, "mean over layers"
        yield from _lines(last, note)


def _lines(part: pd.DataFrame, note: str) -> Iterator[dict[str, Any]]:
    shown = part[part["quantity"].map(of_null).isna()]
    for block in blocks(shown):
        for method, values, missing in zip(
            block.methods, block.values, block.missing, strict=True
        ):
            found = interval(values)
            band = null_band(part[part["method"] == method], block.column)
            yield line_of(block.column, block.model, method, found) | {
                "missing": missing.count,
                "failed": missing.failed,
                "reason": missing.reason,
                "best": False,
                "tied": False,
                "null_low": band[0],
                "null_high": band[1],
                "verdict": verdict((found.low, found.high), band) if found.n else "",
                "note": "; ".join(text for text in (note, found.note) if text),
            }


def layer_order(part: pd.DataFrame) -> list[str]:
    """The layers in the order in which they were randomised, which is that of the rows."""
    layered = part[part["layer"].notna()]
    first = layered.groupby("layer")["part"].min()
    return [str(layer) for layer in first.sort_values(kind="stable").index]


def null_band(part: pd.DataFrame, column: Column) -> Band:
    """Where the middle 95 % of the null lies; NaN where there is none."""
    nulls = part["quantity"].map(of_null)
    same = (part["metric"] == column.metric) & (part["variant"] == column.variant)
    held = part[same & (nulls == column.quantity) & part["value"].notna()]
    if held.empty:
        return math.nan, math.nan
    draws = held.groupby(["model_seed", "seed"], dropna=False)["value"].mean().to_numpy()
    if len(draws) < MANY:
        return float(draws.min()), float(draws.max())
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def verdict(found: Band, band: Band) -> str:
    """Of an interval against the null band.

    >>> verdict((0.1, 0.2), (0.0, 0.3)), verdict((0.8, 0.9), (0.0, 0.3))
    ('inside', 'above')
    >>> verdict((0.1, 0.2), (0.4, 0.5))
    'below'
    >>> verdict((1.0, 1.0), (1.0, 1.0))  # blind to the weights
    'blind'
    >>> verdict((0.2, 0.4), (0.0, 0.3)), verdict((0.2, 0.4), (float("nan"), float("nan")))
    ('undecided', 'no null')
    """
    if math.isnan(band[0]):
        return "no null"
    if min(band[0], found[0]) > SAME:
        return "blind"
    if band[0] <= found[0] and found[1] <= band[1]:
        return "inside"
    if found[1] < band[0]:
        return "below"
    return "above" if found[0] > band[1] else "undecided"
