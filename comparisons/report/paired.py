"""``paired``: every paired comparison of two methods, corrected over its table."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comparisons.report.columns import is_control
from comparisons.statistics import holm, signed_rank

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comparisons.report.frame import Block

__all__ = ["paired"]

KEY = ["model", "metric", "variant", "quantity"]


def paired(found: list[Block]) -> pd.DataFrame:
    """Every two proposed methods in every column with a direction; Holm over each table.

    A table is one family of metrics on one model. All its pairs count, not only those with
    the best: which is the best was chosen by looking.
    """
    lines = [line for block in found if block.column.direction.arrow for line in _tests(block)]
    names = [*KEY, "family", "first", "second", "p", "effect", "pairs", "differing", "dropped"]
    frame = pd.DataFrame(lines, columns=[*names, "reason"])
    frame["p_holm"] = np.nan
    frame["family_size"] = 0
    for _, part in frame.groupby(["model", "family"], sort=False):
        frame.loc[part.index, "p_holm"] = holm(part["p"].tolist())
        frame.loc[part.index, "family_size"] = int(part["p"].notna().sum())
    return frame.set_index(KEY, drop=False).sort_index(kind="stable")


def _tests(block: Block) -> Iterable[dict[str, Any]]:
    values, column = block.by_example, block.column
    proposed = [n for n, method in enumerate(block.methods) if not is_control(method)]
    for one, two in combinations(proposed, 2):
        found = signed_rank(values[one], values[two])
        yield {
            "model": block.model,
            "metric": column.metric,
            "variant": column.variant,
            "quantity": column.quantity,
            "family": column.family,
            "first": block.methods[one],
            "second": block.methods[two],
            "p": found.p if found.pairs else math.nan,
            "effect": found.effect,
            "pairs": found.pairs,
            "differing": found.differing,
            "dropped": found.dropped,
            "reason": found.reason or "",
        }
