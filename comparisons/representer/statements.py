"""What the records of representer points say, in words."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.embedding.tables import of_kind, spread_over, values
from comparisons.representer.captums import INFLUENCE, TRACIN
from comparisons.representer.detection import COEFFICIENT, LOSS, PENALTIES, RANDOM
from comparisons.representer.tables import distinct, milliseconds
from comparisons.representer.timing import OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["margins", "statements"]

Row = dict[str, Any]
CHOSEN = f"{COEFFICIENT}, λ = {PENALTIES[0]:g}"
LEVEL = 0.005  # of the area: less is a tie


def statements(records: Sequence[Row], title: str) -> list[str]:
    """Sentences: what was found, beside what, at what cost, and what to keep in mind."""
    return [
        _setting(records, title),
        *(_detection(records, rival) for rival in _rivals(records)),
        _by_penalty(records),
        _identity(records),
        _likeness(records),
        _static(records),
        *_times(records),
        _shares(records),
    ]


def margins(records: Sequence[Row], one: str, other: str) -> list[float]:
    """The one's area less the other's, on each network."""
    found = {_network(row): row["area"] for row in of_kind(records, "detection", method=other)}
    rows = of_kind(records, "detection", method=one)
    return [row["area"] - found[_network(row)] for row in rows]


def _network(row: Row) -> tuple[Any, ...]:
    return row["seed"], row["flipped"], row["epochs"]


def _rivals(records: Sequence[Row]) -> list[str]:
    tracins = [m for m in distinct(records, "detection", "method") if TRACIN in m]
    return [RANDOM, LOSS, *tracins, INFLUENCE]


def _setting(records: Sequence[Row], title: str) -> str:
    networks = of_kind(records, "network")
    seeds = sorted({row["seed"] for row in networks})
    flipped = sorted({row["flipped"] for row in networks} - {0.0})
    epochs = distinct(records, "network", "epochs")
    return (
        f"{title}: {len(of_kind(records, 'detection', method=LOSS))} networks, trained on "
        f"{networks[0]['examples']:,} labels of which {_percent(flipped[0])} to "
        f"{_percent(flipped[-1])} are flipped, seeds {', '.join(map(str, seeds))}, "
        f"each after {' and '.join(map(str, epochs))} epochs."
    )


def _detection(records: Sequence[Row], rival: str) -> str:
    found = margins(records, CHOSEN, rival)
    ahead = sum(margin > LEVEL for margin in found)
    behind = sum(margin < -LEVEL for margin in found)
    return (
        f"{CHOSEN}, beside {rival}: the area is {_signed(statistics.fmean(found))} on average "
        f"({_signed(min(found))} to {_signed(max(found))}); better by more than {LEVEL:g} on "
        f"{ahead} of {len(found)} networks, worse on {behind}."
    )


def _by_penalty(records: Sequence[Row]) -> str:
    parts = []
    for penalty in PENALTIES:
        found = margins(records, f"{COEFFICIENT}, λ = {penalty:g}", LOSS)
        parts.append(f"{_signed(statistics.fmean(found))} at λ = {penalty:g}")
    return f"λ matters: beside the loss, the area of {COEFFICIENT} is {', '.join(parts)}."


def _identity(records: Sequence[Row]) -> str:
    rows = of_kind(records, "refit")
    residual = max(*values(rows, "identity"), *values(rows, "test_identity"))
    return (
        f"{len(rows)} heads were fitted to a stationarity of "
        f"{max(values(rows, 'stationarity')):.0e} at worst; the votes add up to the refit's "
        f"logits to {residual:.0e} of the largest, on training and held-out images."
    )


def _likeness(records: Sequence[Row]) -> str:
    parts = []
    for penalty in PENALTIES:
        rows = of_kind(records, "refit", targets="model", penalty=penalty)
        parts.append(
            f"λ = {penalty:g}: correlation {spread_over(values(rows, 'correlation'))}, same "
            f"class first on {spread_over(values(rows, 'test_agreement'))} of the held-out "
            "images"
        )
    return f"The refit is not the network. Fitted to the model, {'; '.join(parts)}."


def _static(records: Sequence[Row]) -> str:
    parts = []
    for method in distinct(records, "static", "method"):
        rows = of_kind(records, "static", method=method)
        first, shared = (
            statistics.fmean(values(rows, name)) for name in ("same_first", "shared")
        )
        parts.append(f"{method}: {_percent(first)} and {_percent(shared)}")
    return (
        "Rankings are static: the share of the test images whose strongest voter is the one "
        "most common in their predicted class, and the share of their five strongest that two "
        f"images of a class have in common. {'; '.join(parts)}."
    )


def _times(records: Sequence[Row]) -> list[str]:
    said = []
    for images in distinct(records, "time", "images"):
        ours, tracin, influence = (
            of_kind(records, "time", method=method, images=images)
            for method in (OURS, TRACIN, INFLUENCE)
        )
        ratio = statistics.median(ratio for row in ours for ratio in row["ratios"])
        said.append(
            f"Votes of {ours[0]['examples']:,} examples, {images} test "
            f"image{'s' if images > 1 else ''} at once, processor time for each: {OURS} "
            f"{milliseconds(ours)} ms, {TRACIN} {milliseconds(tracin)} ms, {INFLUENCE} "
            f"{milliseconds(influence)} ms. That is {ratio:.0f} times TracInCPFast's speed, "
            f"after {_once(ours)} s of set-up against {_once(tracin)} s."
        )
    return said


def _once(rows: list[Row]) -> str:
    return f"{statistics.median(values(rows, 'once')):.2f}"


def _shares(records: Sequence[Row]) -> str:
    rows = of_kind(records, "share")
    return (
        f"{sum(row['votes'] for row in rows):,} votes split over pixels add up to "
        f"{max(values(rows, 'completeness_error')):.0e} of the largest (float64). Constants "
        f"make {_percent(statistics.fmean(values(rows, 'bias_share')))} of a vote (median). "
        "The maps of two voters on one image have a mean |cosine| of "
        f"{statistics.fmean(values(rows, 'alike')):.2f}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(margin: float) -> str:
    return f"{margin:+.3f}".replace("-", "−")
