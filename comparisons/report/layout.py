"""The tables of the report, laid out from the aggregated frame: for Markdown, LaTeX, HTML and
the terminal alike.

One table for each model and family of metrics; a family of many columns is divided into even
parts. Controls stand below the methods. What is missing is told in numbered notes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from comparisons.plural import counted
from comparisons.report.columns import FAMILIES, Column, method_order, nameless
from comparisons.report.number import numbers
from comparisons.report.overall import ALL_MODELS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import pandas as pd

__all__ = ["Cell", "Heading", "Line", "Table", "laid_out", "models_of"]

WIDE = 6  # columns that a page of paper holds


@dataclass(frozen=True)
class Heading:
    """A column's head: the metric with its arrow, and below it quantity and variant.

    Attributes:
        label: all of it in one line, for the caption.
        median: whether its cells are medians; else they are means.
    """

    name: str
    detail: str = ""
    arrow: str = ""
    label: str = ""
    median: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: the estimate, or what stands in its place.
        interval: "[low, high]", or "".
        verdict: of a sanity check, with its null band, or "".
        bold: best, or tied with the best.
        notes: numbers of the table's notes.
    """

    text: str = ""
    interval: str = ""
    verdict: str = ""
    bold: bool = False
    notes: tuple[int, ...] = ()

    @property
    def has_value(self) -> bool:
        """Whether it holds an estimate."""
        return self.text not in {"", "–", "failed"}


@dataclass(frozen=True)
class Line:
    """A method's cells."""

    method: str
    cells: list[Cell]
    control: bool


@dataclass
class Table:
    """A table to be shown.

    Attributes:
        model, family: of what; the model is "all models" of mean ranks.
        part: such as "1 of 2", of a family that is divided.
        headings: of the columns after the method's.
        lines: methods, then controls.
        tie_rule: how ties with the best were told.
        sample: n, as it holds for the cells that say nothing else.
        notes: text of note 1, 2, …
    """

    model: str
    family: str
    part: str
    headings: list[Heading]
    lines: list[Line]
    tie_rule: str
    sample: str
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Model, family and part."""
        part = f" ({self.part})" if self.part else ""
        return f"{self.model}: {self.family}{part}"

    @property
    def is_sanity(self) -> bool:
        """Whether it shows checks against a null."""
        return self.family == "randomisation"

    @property
    def is_ranks(self) -> bool:
        """Whether it shows mean ranks over models."""
        return self.model == ALL_MODELS


def models_of(frame: pd.DataFrame) -> list[str]:
    """The models' names, without that of the overall tables."""
    return sorted(set(frame["model"]) - {ALL_MODELS})


def laid_out(frame: pd.DataFrame) -> list[Table]:
    """All tables: model by model, the overall ones last."""
    present = [model for model in (ALL_MODELS,) if (frame["model"] == model).any()]
    found = []
    for model in [*models_of(frame), *present]:
        of_model = frame[frame["model"] == model]
        families = sorted(set(of_model["family"]), key=FAMILIES.index)
        for family in families:
            found += list(_tables(of_model[of_model["family"] == family], model, family))
    return found


Cells = dict["tuple[Column, str]", "dict[Hashable, object]"]


def _tables(part: pd.DataFrame, model: str, family: str) -> Iterator[Table]:
    cells = {
        (Column(line["metric"], line["variant"], line["quantity"]), line["method"]): line
        for line in part.to_dict("records")
    }
    columns = sorted({column for column, _ in cells}, key=lambda found: found.place)
    methods = sorted({method for _, method in cells}, key=method_order)
    for number, chosen in enumerate(parts := _divided(columns), start=1):
        label = f"{number} of {len(parts)}" if len(parts) > 1 else ""
        yield _Layout(cells).table(model, family, label, chosen, methods)


def _divided(columns: list[Column]) -> list[list[Column]]:
    """Even parts of at most WIDE columns."""
    count = math.ceil(len(columns) / WIDE)
    size = math.ceil(len(columns) / count)
    return [columns[start : start + size] for start in range(0, len(columns), size)]


class _Layout:
    """Makes one table; collects its notes."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.notes: dict[str, int] = {}

    def table(
        self, model: str, family: str, part: str, columns: list[Column], methods: list[str]
    ) -> Table:
        of_table = [self.cells[c, m] for c in columns for m in methods if (c, m) in self.cells]
        counts = [(line["n"], line["seeds"], line["examples"]) for line in of_table]
        usual = max(sorted(set(counts), key=str), key=counts.count)
        lines = [
            Line(method, [self._cell(column, method, usual) for column in columns], control)
            for method in methods
            for control in [method_order(method)[0]]
        ]
        headings = [self._heading(column, model) for column in columns]
        sample = _sample(usual, ranks=model == ALL_MODELS)
        rule = max(str(line["tie_rule"] or "") for line in of_table)
        return Table(model, family, part, headings, lines, rule, sample, list(self.notes))

    def _heading(self, column: Column, model: str) -> Heading:
        ranks = model == ALL_MODELS
        median = column.statistic == "median" and not ranks
        detail = " · ".join(filter(None, [column.detail, "median" if median else ""]))
        arrow = "↓" if ranks else column.direction.arrow
        return Heading(column.metric, detail, arrow, column.label, median)

    def _cell(self, column: Column, method: str, usual: tuple[object, ...]) -> Cell:
        line = self.cells.get((column, method))
        if line is None:
            return Cell("–", notes=self._note("not run") if column.family != "cost" else ())
        if not line["n"]:
            failed = bool(line["failed"])
            reason = _nameless(line) or "no value"
            return Cell("failed" if failed else "–", notes=self._note(reason))
        value, low, high = numbers(*(float(str(line[k])) for k in ("value", "low", "high")))
        ends = f"[{low}, {high}]" if "–" not in (low, high) else ""
        bold, notes = line["tied"] is True, self._notes(line, usual)
        return Cell(value, ends, _verdict(line), bold, notes)

    def _notes(
        self, line: dict[Hashable, object], usual: tuple[object, ...]
    ) -> tuple[int, ...]:
        if line["model"] == ALL_MODELS:
            return self._note(str(line["note"])) if line["note"] else ()
        parts = []
        if (counts := (line["n"], line["seeds"], line["examples"])) != usual:
            parts.append(_sample(counts, ranks=False))
        if line["missing"]:
            failed = f", {line['failed']} of them failed" if line["failed"] else ""
            parts.append(f"NaN {line['missing']}{failed}: {_nameless(line)}")
        return self._note("; ".join(parts)) if parts else ()

    def _note(self, text: str) -> tuple[int, ...]:
        return (self.notes.setdefault(text, len(self.notes) + 1),)


def _nameless(line: dict[Hashable, object]) -> str:
    """A reason that names its method, so that methods can share the note."""
    return nameless(str(line["reason"]), str(line["method"]))


def _verdict(line: dict[Hashable, object]) -> str:
    """The verdict and the null band."""
    said = line["verdict"]
    if not isinstance(said, str) or not said:
        return ""
    if said == "no null":
        return said
    low, high = numbers(float(str(line["null_low"])), float(str(line["null_high"])))
    return f"{said} {low} … {high}"


def _sample(counts: tuple[Any, ...], *, ranks: bool) -> str:
    n, seeds, examples = counts
    if ranks:
        return counted(n, "model")
    return f"n = {n} ({counted(seeds, 'model seed')}, {counted(examples, 'example')})"
