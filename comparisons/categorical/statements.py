"""What the records of an expansion say, in words."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.categorical.readings import (
    FIELD,
    MAP,
    MEAN_MAP,
    MEAN_SWAP,
    PLAIN,
    SWAP,
)
from comparisons.categorical.tables import backgrounds_of, percent, seeds_of
from comparisons.embedding.tables import of_kind, spread_over, values

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["of_files", "of_peptides"]

Row = dict[str, Any]


def of_peptides(records: Sequence[Row]) -> list[str]:
    """Sentences: networks, shares, the largest field, what predicts, readings, checks."""
    return [
        _networks(records),
        *(_shares(records, background) for background in backgrounds_of(records)),
        _largest(records),
        _couplings(records),
        *(_predictions(records, background) for background in backgrounds_of(records)),
        *(_readings(records, background) for background in backgrounds_of(records)),
        *filter(None, (_seeds(records, background) for background in backgrounds_of(records))),
        *(_check(row) for row in of_kind(records, "check")),
    ]


def of_files(records: Sequence[Row]) -> list[str]:
    """Sentences: of each file the shares and the largest fields."""
    return [_file(records, background) for background in backgrounds_of(records)]


def _networks(records: Sequence[Row]) -> str:
    rows = of_kind(records, "network")
    return (
        f"{len(rows)} networks (seeds {', '.join(str(row['seed']) for row in rows)}): "
        f"{_percents(values(rows, 'accuracy'))} of held-out windows right (the larger class is "
        f"{percent(rows[0]['majority'])}), "
        f"{_percents(values(rows, 'train_accuracy'))} of the training windows."
    )


def _percents(found: Sequence[float]) -> str:
    if len(found) == 1:
        return percent(found[0])
    return f"{percent(min(found))} to {percent(max(found))}"


def _shares(records: Sequence[Row], background: str) -> str:
    parts = []
    for order, what in (("1", "h"), ("2", "J"), ("more", "terms of three or more positions")):
        rows = of_kind(records, "share", background=background, order=order)
        error = max(values(rows, "error"))
        found = [percent(row["share"]) for row in rows]
        parts.append(f"{what} {', '.join(found)} (standard errors up to {percent(error)})")
    return (
        f"Over the background '{background}', of the variance of the logit, by seed: "
        f"{'; '.join(parts)}."
    )


def _largest(records: Sequence[Row]) -> str:
    rows = of_kind(records, "field")
    found = []
    for background in backgrounds_of(records):
        for seed in seeds_of(records):
            each = of_kind(rows, "field", background=background, seed=seed)
            found.append(max(each, key=lambda row: abs(row["field"])))
    places = sorted({f"{row['category']} at position {row['position']}" for row in found})
    sizes = values(found, "field")
    return (
        f"The largest field of each network and background is {' or '.join(places)}, "
        f"{_signed(min(sizes))} to {_signed(max(sizes))}."
    )


def _couplings(records: Sequence[Row]) -> str:
    """The position whose pairs hold most of the couplings' variance."""
    parts = []
    for background in backgrounds_of(records):
        shares = []
        for seed in seeds_of(records):
            rows = of_kind(records, "strength", background=background, seed=seed)
            total = sum(values(rows, "strength"))
            by = {
                position: sum(row["strength"] for row in rows if position in _pair(row))
                for position in {name for row in rows for name in _pair(row)}
            }
            position = max(by, key=lambda name: by[name])
            shares.append(f"{percent(by[position] / total, 0)} (position {position})")
        parts.append(f"{', '.join(shares)} over the background '{background}'")
    return (
        "The position whose pairs hold most of the couplings' variance holds, by seed: "
        f"{'; '.join(parts)}."
    )


def _pair(row: Row) -> tuple[str, str]:
    return row["first"], row["second"]


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _predictions(records: Sequence[Row], background: str) -> str:
    texts = []
    for by in dict.fromkeys(row["by"] for row in of_kind(records, "prediction")):
        rows = of_kind(records, "prediction", background=background, by=by)
        texts.append(
            f"{by}: R² {spread_over(values(rows, 'determination'))}, accuracy "
            f"{spread_over(values(rows, 'accuracy'))}"
        )
    return f"Held-out windows, background '{background}'. {'; '.join(texts)}."


def _readings(records: Sequence[Row], background: str) -> str:
    def between(first: str, second: str) -> str:
        rows = of_kind(records, "agreement", background=background, first=first, second=second)
        seeded = [row for row in rows if row["seed"] is not None]
        return f"{statistics.fmean(values(seeded, 'median')):.3f}"

    return (
        f"What a substitution does at a window (background '{background}'), correlated with: "
        f"W' there {between(SWAP, MAP)}, W as it is {between(SWAP, PLAIN)}, the field h "
        f"{between(SWAP, FIELD)} (medians over windows, mean over seeds). Averaged over the "
        f"windows, W' correlates with h at {between(FIELD, MEAN_MAP)} and with the mean "
        f"substitution at {between(MEAN_SWAP, MEAN_MAP)}; the mean substitution with h at "
        f"{between(FIELD, MEAN_SWAP)}. W as it is correlates with W' at "
        f"{between(MAP, PLAIN)}."
    )


def _seeds(records: Sequence[Row], background: str) -> str:
    rows = of_kind(records, "agreement", background=background, seed=None)
    if not rows:
        return ""
    texts = ", ".join(f"{row['first']} {row['median']:.3f}" for row in rows)
    return f"Networks of two seeds correlate (median, background '{background}') in: {texts}."


def _check(row: Row) -> str:
    return (
        f"Positions {row['positions']} of seed {row['seed']}, every one of "
        f"{row['patterns']:,} patterns: the sum of all orders is the network to "
        f"{row['full_error']:.0e}, and every term averages to 0 to {row['gauge_error']:.0e}. "
        f"Sampled {row['repeats']} times with {row['samples']} samples, "
        f"{percent(row['covered'])} of {row['entries']:,} entries are off by less than 1.96 "
        f"standard errors and {percent(row['within'], 2)} by less than 3."
    )


def _file(records: Sequence[Row], background: str) -> str:
    rows = of_kind(records, "share", background=background)
    shares = ", ".join(f"order {row['order']} {percent(row['share'])}" for row in rows)
    fields = of_kind(records, "field", background=background)
    found = of_kind(records, "agreement", background=background, first=SWAP)
    fields.sort(key=lambda row: -abs(row["field"]))
    largest = ", ".join(
        f"{row['category']!r} at byte {row['position']} {_signed(row['field'])}"
        for row in fields[:3]
    )
    return (
        f"Magika's logit of 'pdf' over the first four bytes ({background}), every pattern: "
        f"{_signed(rows[0]['mean'])} on average, with a deviation of "
        f"{rows[0]['deviation']:.2f}, of whose square {shares}. Largest fields: {largest}. "
        "What another letter does where the file begins with '%PDF' correlates with: "
        f"{_beside(found)}."
    )


def _beside(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row['second']} {row['median']:.2f}" for row in rows)
