"""The report as one HTML file that needs nothing else: no script, no request, no font."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from captum_ilin.metrics import Direction
from comparisons.measures import MEASURES
from comparisons.methods import METHODS
from comparisons.picture import few_colours
from comparisons.report.captions import READING, short_caption
from comparisons.report.columns import UNREGISTERED, Column, is_control, method_order
from comparisons.report.number import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from comparisons.report.aggregate import Analysis
    from comparisons.report.figures import Figure
    from comparisons.report.layout import Table
    from comparisons.report.summary import Statement

__all__ = ["page"]

TOLD = 20  # paired differences shown; all of them are in pairs.csv


def page(
    frame: pd.DataFrame,
    found: Analysis,
    *,
    tables: list[Table],
    figures: list[Figure],
    statements: list[Statement],
    notes: list[str],
    provenance: Any,
    warned: list[tuple[str, str, str, int]],
) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    runs = sorted(set(frame["run"]) - {""})
    models = sorted(frame["model"].unique())
    return environment.get_template("page.html").render(
        title="Attribution methods compared",
        subtitle=f"{', '.join(runs) or 'A run without a name'}: {', '.join(models)}",
        statements=statements,
        reading=READING.replace("**", ""),
        tables=tables,
        caption=short_caption,
        figures=figures,
        picture=_picture,
        notes=notes,
        told=list(_told(found.pairs)),
        compared=f"{len(found.pairs):,}",
        metrics=[_metric(metric) for metric in _metrics(frame)],
        methods=[_method(m) for m in sorted(frame["method"].unique(), key=method_order)],
        warned=warned,
        facts=[] if provenance is None else list(_facts(provenance)),
    )


def _picture(figure: Figure) -> str:
    return "data:image/png;base64," + base64.b64encode(few_colours(figure.png)).decode()


def _told(pairs: pd.DataFrame) -> Iterator[list[str]]:
    known = pairs[pairs["p_holm"] < 1].reset_index(drop=True)
    for line in known.sort_values("p_holm", kind="stable").head(TOLD).itertuples():
        column = Column(line.metric, line.variant, line.quantity)
        texts = [line.model, column.label, line.first, line.second]
        yield [*texts, number(line.p_holm), f"{line.effect:+.2f}", str(line.pairs)]


def _metrics(frame: pd.DataFrame) -> list[str]:
    return sorted(frame["metric"].unique(), key=lambda metric: Column(metric, "", "").place)


def _metric(metric: str) -> list[str]:
    known = MEASURES.get(metric)
    if known is None:
        return [metric, UNREGISTERED, "not known", "no definition is registered"]
    ways = {direction.name for direction in known.directions.values()}
    if len(ways) == 1:
        better = Direction[ways.pop()].value
    else:
        better = ", ".join(
            f"{name or 'value'}: {direction.value}"
            for name, direction in known.directions.items()
        )
    return [metric, known.family, better, known.formula]


def _method(method: str) -> list[str]:
    known = METHODS.get(method)
    kind = "control" if is_control(method) else "method"
    return [method, kind, known.about if known else "not registered: known by its rows only"]


def _facts(facts: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts, each under its path."""
    if isinstance(facts, dict):
        for key, value in facts.items():
            yield from _facts(value, f"{name}.{key}" if name else str(key))
    elif isinstance(facts, list) and any(isinstance(fact, dict) for fact in facts):
        for place, fact in enumerate(facts, start=1):
            yield from _facts(fact, f"{name}{place}")
    elif isinstance(facts, list):
        yield name, ", ".join(map(str, facts))
    else:
        yield name, str(facts)
