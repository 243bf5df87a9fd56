"""Overall lines: mean ranks over the models, whose values themselves cannot be averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons.report.columns import Column, method_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comparisons.report.frame import Block
    from comparisons.statistics import Friedman

__all__ = ["ALL_MODELS", "overall_lines"]

ALL_MODELS = "all models"


def overall_lines(
    ranks: list[tuple[Block, Friedman]], lines: list[dict[str, Any]]
) -> Iterable[dict[str, Any]]:
    """Mean rank over the models, and on how many a method is (tied) best."""
    found: dict[tuple[Column, str], list[float]] = {}
    for block, ranked in ranks:
        if ranked.blocks:
            for method, rank in zip(block.methods, ranked.ranks.tolist(), strict=True):
                found.setdefault((block.column, method), []).append(rank)
    ties = _ties(lines)
    for column, method in sorted(found, key=lambda key: (key[0].place, method_order(key[1]))):
        of_models = found[column, method]
        tied = ties.get((column, method), 0)
        yield {
            "model": ALL_MODELS,
            "family": column.family,
            "metric": column.metric,
            "variant": column.variant,
            "quantity": column.quantity,
            "direction": "lower",
            "method": method,
            "control": False,
            "statistic": "mean rank",
            "value": float(np.mean(of_models)),
            "low": min(of_models),
            "high": max(of_models),
            "n": len(of_models),
            "best": False,
            "tied": tied == len(of_models),
            "note": f"best or tied on {tied} of {len(of_models)}",
        }


def _ties(lines: list[dict[str, Any]]) -> dict[tuple[Column, str], int]:
    counted: dict[tuple[Column, str], int] = {}
    for line in lines:
        if line["tied"] and not line["control"]:
            column = Column(line["metric"], line["variant"], line["quantity"])
            key = column, line["method"]
            counted[key] = counted.get(key, 0) + 1
    return counted
