"""Whether two methods have the same numbers, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comparisons.report.columns import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["Coincidence", "coincidences"]

SAME = 1e-3  # rounding of float32 attributions, carried through ranks, quotients and curves
ASIDE = {"axiomatic", "cost"}  # of these each method has its own sum and its own time
KEYS = ["metric", "variant", "quantity", "model_seed", "sample", "seed", "layer", "step"]


@dataclass(frozen=True)
class Coincidence:
    """Two methods on one model.

    Attributes:
        model: on which.
        rows: how many rows both have a value in.
        greatest: the greatest difference, relative to the metric's largest value.
        where: the column of the greatest.
    """

    model: str
    rows: int
    greatest: float
    where: str

    @property
    def same(self) -> bool:
        """Whether the difference is rounding."""
        return self.greatest <= SAME


def coincidences(frame: pd.DataFrame, first: str, second: str) -> Iterator[Coincidence]:
    """For each model that has both methods."""
    families = {metric: Column(metric, "", "").family for metric in frame["metric"].unique()}
    held = frame[frame["value"].notna() & ~frame["metric"].map(families).isin(ASIDE)]
    for model, part in held.groupby("model"):
        one = part[part["method"] == first]
        both = one.merge(part[part["method"] == second], on=KEYS, suffixes=("", "_2"))
        if both.empty:
            continue
        sizes = both["value"].abs().groupby([both["metric"], both["quantity"]]).transform("max")
        differences = (both["value"] - both["value_2"]).abs() / sizes.where(sizes > 0, 1.0)
        place = int(np.argmax(differences.to_numpy()))
        line = both.iloc[place]
        where = Column(line["metric"], line["variant"], line["quantity"]).label
        yield Coincidence(str(model), len(both), float(differences.iloc[place]), where)
