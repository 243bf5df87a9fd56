"""The rows of a run as one pandas frame, and as tables of (method, model seed, example)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from comparisons.plural import counted
from comparisons.records import Row
from comparisons.report.columns import Column, method_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Block", "Missing", "blocks", "curves", "frame_of", "scalars"]

FIELDS = [field.name for field in fields(Row)]
COLUMN = ["metric", "variant", "quantity"]
ORDER = [*FIELDS[: FIELDS.index("value")], "part"]


def frame_of(rows: Iterable[Row]) -> pd.DataFrame:
    """One line for each row, in an order that does not depend on who wrote which when."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=FIELDS)
    for name in ("model_seed", "seed", "step", "value"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype("float64")
    frame["failed"] = frame["failed"].astype(bool)
    keys = [
        frame[name].map(str) if frame[name].dtype == object else frame[name] for name in ORDER
    ]
    order = pd.concat(keys, axis=1).sort_values(ORDER, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def scalars(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that belong in tables: no points of curves.

    A cell that failed or is undefined has one row for all its metric's quantities, which is
    repeated for each.
    """
    held = frame[frame["step"].isna()]
    known = held[held["value"].notna()].groupby(["metric", "variant"])["quantity"].unique()
    return _for_each_quantity(held, {key: sorted(found) for key, found in known.items()})


def _for_each_quantity(
    frame: pd.DataFrame, known: dict[tuple[str, str], list[str]]
) -> pd.DataFrame:
    alone = frame["value"].isna() & (frame["parts"] == 1) & (frame["quantity"] == "")
    quantities = [
        known.get((metric, variant), [quantity]) if is_alone else [quantity]
        for metric, variant, quantity, is_alone in zip(
            *(frame[name] for name in COLUMN), alone, strict=True
        )
    ]
    repeated = frame.assign(quantity=quantities).explode("quantity")
    return repeated.reset_index(drop=True)


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are points of curves."""
    return frame[frame["step"].notna() & frame["value"].notna()]


@dataclass(frozen=True)
class Missing:
    """What a method lacks in a column.

    Attributes:
        count: rows without a value.
        failed: how many of them because an error was raised.
        reason: why, the commonest first, with how often where there are several.
    """

    count: int
    failed: int
    reason: str


@dataclass(frozen=True)
class Block:
    """All methods' values of one column on one model.

    Attributes:
        model, column: of what.
        methods: by name, in the tables' order.
        values: (methods, seeds, examples), the mean over randomisations; NaN where missing.
        missing: for each method.
    """

    model: str
    column: Column
    methods: list[str]
    values: NDArray[np.float64]
    missing: list[Missing]

    @property
    def compared(self) -> NDArray[np.float64]:
        """The values as they are compared: what is rounding of 0 is 0."""
        return np.where(np.abs(self.values) <= self.column.rounding, 0.0, self.values)

    @property
    def by_example(self) -> NDArray[np.float64]:
        """(methods, examples) compared values: the mean over the model seeds, no pairs."""
        held = np.isfinite(self.values)
        counts = held.sum(1)
        sums = np.where(held, self.compared, 0.0).sum(1)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def blocks(frame: pd.DataFrame) -> Iterator[Block]:
    """Every model's columns, models by name, columns in the tables' order."""
    for model, of_model in frame.groupby("model", sort=True):
        parts = {Column(*map(str, key)): part for key, part in of_model.groupby(COLUMN)}
        for column in sorted(parts, key=lambda found: found.place):
            yield _block(str(model), column, parts[column])


def _block(model: str, column: Column, part: pd.DataFrame) -> Block:
    methods = sorted(part["method"].unique(), key=method_order)
    seeds = part["model_seed"].fillna(-1.0)
    axes = [
        pd.Categorical(part["method"], methods),
        pd.Categorical(seeds, sorted(seeds.unique())),
        pd.Categorical(part["sample"], sorted(part["sample"].unique())),
    ]
    means = part["value"].groupby(axes, observed=False).mean()
    shape = tuple(len(axis.categories) for axis in axes)
    missing = {
        str(method): _missing(found) for method, found in part.groupby("method", sort=False)
    }
    values = means.to_numpy(dtype=np.float64).reshape(shape)
    return Block(model, column, methods, values, [missing[method] for method in methods])


def _missing(part: pd.DataFrame) -> Missing:
    lacking = part[part["value"].isna()]
    found = Counter(lacking["reason"].fillna("no reason given").map(str))
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    reasons = [reason if len(found) == 1 else f"{reason} ({n}×)" for reason, n in ordered[:3]]
    more = [f"and {counted(len(ordered) - 3, 'more reason')}"] if len(ordered) > 3 else []
    return Missing(len(lacking), int(lacking["failed"].sum()), "; ".join(reasons + more))
