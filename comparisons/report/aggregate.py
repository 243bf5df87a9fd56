"""``aggregated``: the one frame that every table of the report is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from captum_ilin.metrics import Direction
from comparisons.report.columns import Column, is_control
from comparisons.report.frame import Block, blocks, scalars
from comparisons.report.line import line_of
from comparisons.report.overall import overall_lines
from comparisons.report.paired import paired
from comparisons.report.sanity import sanity_lines
from comparisons.statistics import friedman, interval, smallest_p
from comparisons.statistics.signedrank import RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from comparisons.statistics import Friedman, Interval

__all__ = ["INTERVAL", "LEVEL", "SIGNED_RANK", "Analysis", "aggregated", "analysed"]

LEVEL = 0.05
SIGNED_RANK, INTERVAL = "signed rank, Holm", "interval of paired differences"


@dataclass(frozen=True)
class Analysis:
    """What the report knows.

    Attributes:
        table: the aggregated frame, a line for each cell of each table.
        pairs: every paired comparison of two methods.
        ranks: (block, Friedman's test over its methods) for each column with a direction.
        blocks: the values behind all of them.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    ranks: list[tuple[Block, Friedman]]
    blocks: list[Block]


def analysed(frame: pd.DataFrame) -> Analysis:
    """Intervals, paired tests and ranks of a run's rows."""
    held = scalars(frame)
    sanity = held["metric"].map(lambda metric: Column(metric, "", "").family) == "randomisation"
    found = list(blocks(held[~sanity]))
    pairs = paired(found)
    ranks = [_ranked(block) for block in found if block.column.direction.arrow]
    lines = [line for block in found for line in _lines(block, pairs)]
    table = aggregated([*lines, *sanity_lines(held[sanity]), *overall_lines(ranks, lines)])
    return Analysis(table, pairs, ranks, found)


COLUMNS = (
    *("model", "family", "metric", "variant", "quantity", "direction", "method", "control"),
    *("statistic", "value", "low", "high", "n", "seeds", "examples", "missing", "failed"),
    *(
        "reason",
        "best",
        "tied",
        "tie_rule",
        "p_holm",
        "effect",
        "null_low",
        "null_high",
        "verdict",
        "note",
    ),
)


def aggregated(lines: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The frame, with every column there and missing numbers as NaN."""
    frame = pd.DataFrame(list(lines), columns=list(COLUMNS))
    counts = ["n", "seeds", "examples", "missing", "failed"]
    texts = ["reason", "tie_rule", "verdict", "note"]
    frame[texts] = frame[texts].astype(object).where(frame[texts].notna(), "")
    return frame.astype(dict.fromkeys(counts, "Int64"))


def _lines(block: Block, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    statistic: Any = block.column.statistic
    found = [interval(values, statistic=statistic) for values in block.values]
    best = _best(block, found)
    against = _against(block, best, pairs)
    rule, tied = _ties_of(block, best, against, pairs)
    lines = []
    for method, one, missing in zip(block.methods, found, block.missing, strict=True):
        p, effect = against.get(method, (math.nan, math.nan))
        lines.append(
            line_of(block.column, block.model, method, one)
            | {"missing": missing.count, "failed": missing.failed, "reason": missing.reason}
            | {"best": method == best, "tied": method in tied, "tie_rule": rule}
            | {"p_holm": p, "effect": effect}
        )
    return lines


def _ties_of(
    block: Block,
    best: str | None,
    against: dict[str, tuple[float, float]],
    pairs: pd.DataFrame,
) -> tuple[str, set[str]]:
    """By which rule methods are tied with the best, and which are.

    The rule is the signed-rank test after Holm. Where the examples are so few that no
    difference whatever could pass it, it would tie everything: there each paired
    difference's 95 % interval decides, uncorrected.
    """
    if best is None:
        return "", set()
    of_table = pairs[(pairs["model"] == block.model) & (pairs["family"] == block.column.family)]
    family = int(of_table["family_size"].max()) if len(of_table) else 0
    measured = int(np.isfinite(block.by_example[block.methods.index(best)]).sum())
    if smallest_p(measured) * family < LEVEL:
        return SIGNED_RANK, {best, *_not_behind(block, against)}
    return INTERVAL, {best, *(m for m in against if _overlaps(block, best, m))}


def _not_behind(block: Block, against: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Methods that the test does not tell from the best, or puts before it.

    The best has the best mean; a test on ranks may prefer another, which is then no worse.
    """
    sign = 1 if block.column.direction is Direction.HIGHER else -1
    for method, (p, effect) in against.items():
        if p >= LEVEL or sign * effect < 0:
            yield method


def _overlaps(block: Block, best: str, method: str) -> bool:
    """Whether the paired differences' interval holds zero."""
    one, two = (block.compared[block.methods.index(name)] for name in (best, method))
    difference = one - two
    rounding = RESOLUTION * np.fmax(np.abs(one), np.abs(two))
    difference = np.where(np.abs(difference) <= rounding, 0.0, difference)
    statistic: Any = block.column.statistic
    found = interval(difference, statistic=statistic)
    return found.low <= 0 <= found.high or found.value == 0


def _best(block: Block, found: list[Interval]) -> str | None:
    """The best proposed method; none of a descriptive column."""
    if not block.column.direction.arrow:
        return None
    sign = -1 if block.column.direction is Direction.HIGHER else 1
    candidates = [
        (sign * one.value, place)
        for place, (method, one) in enumerate(zip(block.methods, found, strict=True))
        if one.n and not is_control(method)
    ]
    return block.methods[min(candidates)[1]] if candidates else None


def _against(
    block: Block, best: str | None, pairs: pd.DataFrame
) -> dict[str, tuple[float, float]]:
    """method → p after Holm and effect of its comparison with the best."""
    if best is None or pairs.empty:
        return {}
    key = block.model, block.column.metric, block.column.variant, block.column.quantity
    if key not in pairs.index:
        return {}
    of_block = pairs.loc[[key]]
    found = {}
    for row in of_block.itertuples():
        if best in (row.first, row.second):
            other, sign = (row.second, 1) if row.first == best else (row.first, -1)
            found[str(other)] = (float(row.p_holm), sign * float(row.effect))
    return found


def _ranked(block: Block) -> tuple[Block, Friedman]:
    """The block of the proposed methods that have values, and their ranks."""
    values = block.by_example
    keep = [
        n
        for n, method in enumerate(block.methods)
        if not is_control(method) and np.isfinite(values[n]).any()
    ]
    part = Block(
        block.model,
        block.column,
        [block.methods[n] for n in keep],
        block.values[keep],
        [block.missing[n] for n in keep],
    )
    return part, friedman(values[keep], block.column.direction)
