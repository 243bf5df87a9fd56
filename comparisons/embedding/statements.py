"""What the records of a map say, in words."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.embedding.maps import ALONE, ENCODER, LINEAR, TOGETHER
from comparisons.embedding.moves import BEYOND
from comparisons.embedding.tables import of_kind, spread_over, values

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["statements"]

Row = dict[str, Any]


def statements(records: Sequence[Row], title: str) -> list[str]:
    """Sentences: neighbours, loadings, pairs, moves, and what to keep in mind."""
    return [
        _neighbours(records, title),
        _beside_tsne(records),
        _loadings(records),
        _classes(records),
        _pairs(records),
        _moves(records),
        "The map's shift, rotation and scale are t-SNE's to choose; it is centred and turned "
        "to its principal axes. b holds the shift, and what a pixel adds is counted from "
        "black.",
    ]


def _neighbours(records: Sequence[Row], title: str) -> str:
    found = [
        of_kind(records, "preservation", map=m, points="held-out") for m in (ENCODER, LINEAR)
    ]
    seeds = sorted({int(row["seed"]) for row in found[0]})
    return (
        f"{title}, seeds {', '.join(map(str, seeds))}. Held-out points under the encoder: "
        f"{_kept(found[0])}. Under PCA: {_kept(found[1])}."
    )


def _kept(rows: list[Row]) -> str:
    return (
        f"trustworthiness {spread_over(values(rows, 'trustworthiness'))}, continuity "
        f"{spread_over(values(rows, 'continuity'))}, label accuracy "
        f"{spread_over(values(rows, 'accuracy'))}"
    )


def _beside_tsne(records: Sequence[Row]) -> str:
    ours, theirs = (
        of_kind(records, "preservation", map=name, points="training")
        for name in (ENCODER, ALONE)
    )
    text = (
        "scikit-learn's t-SNE has no place for points that it was not given. On the training "
        f"points it keeps {_kept(theirs)}; the encoder {_kept(ours)}."
    )
    together = of_kind(records, "preservation", map=TOGETHER, points="held-out")
    return (
        f"{text} Given the held-out points with the others it keeps of them {_kept(together)}."
    )


def _loadings(records: Sequence[Row]) -> str:
    rows = of_kind(records, "encoder")
    error, share = max(values(rows, "completeness_error")), values(rows, "bias_share")
    return (
        f"y = W x + b holds at every held-out point to {error:.0e} of the largest coordinate "
        f"(float64). The median of ‖b‖ / ‖y‖ is {spread_over(share, 2)}."
    )


def _classes(records: Sequence[Row]) -> str:
    rows = of_kind(records, "class")
    names = ("agreement", "agreement_with_all", "overlap_with_pca", "overlap_as_scores")
    own, common, overlap, scores = (statistics.fmean(values(rows, name)) for name in names)
    return (
        "Loadings with each direction weighed by the data's deviation along it: a point's "
        f"have a mean cosine of {own:.2f} with its class's mean and of {common:.2f} with that "
        f"of all points, and their plane shares {scores:.2f} (mean cos²) with PCA's. Without "
        f"the weighing it shares {overlap:.2f}: in directions in which the data hardly vary, "
        "loadings are hardly learned."
    )


def _pairs(records: Sequence[Row]) -> str:
    rows = of_kind(records, "pair")
    apart = [row for row in rows if row["first_label"] != row["second_label"]]
    features, loadings, bias = (
        statistics.median(row[part] / row["distance"] for row in apart)
        for part in ("by_features", "by_loadings", "by_bias")
    )
    error = max(values(rows, "completeness_error"))
    return (
        f"{len(rows):,} pairs are explained to {error:.0e} of their distance. Between classes "
        f"the median is {_percent(features)} by what the pixels differ by, "
        f"{_percent(loadings)} by weighing the same pixels otherwise, {_percent(bias)} by the "
        "bias."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")


def _moves(records: Sequence[Row]) -> str:
    rows, spread = of_kind(records, "move"), values(of_kind(records, "encoder"), "spread")
    far = statistics.median(row["beyond"][-1] for row in rows)
    step = statistics.median(values(rows, "step"))
    moved = statistics.median(values(rows, "foretold"))
    return (
        f"{len(rows):,} moves along loadings: inside the region the encoder is where W says to "
        f"{max(values(rows, 'inside')):.0e}. The region ends at a change of x of norm "
        f"{step:.3f} (median), after {moved:.2f} on a map of radius "
        f"{statistics.fmean(spread):.0f}; at {BEYOND[-1]:g} times that step the encoder is off "
        f"by {_percent(far)} of the way."
    )
