"""What a run says, computed from its records."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparisons.embedding.tables import of_kind, values
from comparisons.geometry.measuring import (
    CONFIDENCE,
    FEATURE_MARGIN,
    IN_BOTH_SPACES,
    INPUT_MARGIN,
)
from comparisons.representer.tables import distinct

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["statements"]

Row = dict[str, Any]


def statements(records: Sequence[Row], title: str) -> list[str]:
    """One sentence or two for each finding, whichever way it went."""
    return [
        _setting(records, title),
        _exactness(records),
        _beside(records, "beside_confidence", CONFIDENCE),
        _beside(records, "beside_feature_margin", FEATURE_MARGIN),
        *(_reach(records, network) for network in distinct(records, "reach", "network")),
        *(_shift(records, condition) for condition in IN_BOTH_SPACES),
    ]


def _setting(records: Sequence[Row], title: str) -> str:
    networks = of_kind(records, "network")
    accuracies = values(networks, "accuracy")
    conditions = distinct(records, "failure", "condition")
    return (
        f"{title}: {len(networks)} CNNs, {networks[0]['images']} held-out images, accuracy "
        f"{min(accuracies):.3f} to {max(accuracies):.3f}; then {len(conditions)} conditions: "
        f"{', '.join(conditions)}."
    )


def _exactness(records: Sequence[Row]) -> str:
    rows = of_kind(records, "network")
    return (
        "Angles, norms and biases give the cross-entropy to "
        f"{max(values(rows, 'cross_entropy_error')):.0e} at worst, and ‖w‖ ‖x‖ cos θ + b the "
        f"logits to {max(values(rows, 'completeness_error')):.0e} of the largest (float64)."
    )


def _beside(records: Sequence[Row], name: str, rival: str) -> str:
    """Input margin against a rival, and where the whole interval is on one side."""
    rows = of_kind(records, "predictor", predictor=INPUT_MARGIN)
    better = [row["condition"] for row in rows if row[name][1] > 0]
    worse = [row["condition"] for row in rows if row[name][2] < 0]
    mean = statistics.fmean(row[name][0] for row in rows)
    return (
        f"Which images fail: the AUC of the input margin, beside that of the {rival}, is "
        f"{_signed(mean)} on average over {len(rows)} conditions; better with its whole "
        f"interval in {_listed(better)}, worse in {_listed(worse)}, not told apart in the "
        f"other {len(rows) - len(better) - len(worse)}."
    )


def _reach(records: Sequence[Row], network: str) -> str:
    rows = of_kind(records, "reach", network=network)
    means = {name: statistics.fmean(values(rows, name)) for name in ("inside", "ends_first")}
    crosses, certified, exit = (
        statistics.fmean(values(rows, name)) for name in ("crosses", "certified", "exit")
    )
    crossing = statistics.fmean(row["crossing"][1] for row in rows)
    text = (
        f"{network}: of {sum(row['images'] for row in rows)} images the boundary lies inside "
        f"the region for {_percent(means['inside'])} (certified as the nearest for "
        f"{_percent(certified)}), and the region ends first for "
        f"{_percent(means['ends_first'])}; the median image leaves its region after {exit:.2g} "
        f"margins. Followed on with the network itself, the prediction changes within three "
        f"margins for {_percent(crosses)}, the median first at {crossing:.2f} margins."
    )
    if not means["inside"]:
        return text
    return f"{text} Where it lies inside, the classes tie to {max(values(rows, 'tie')):.0e}."


def _shift(records: Sequence[Row], condition: str) -> str:
    parts = []
    for space in ("features", "inputs"):
        rows = of_kind(records, "shift", space=space, condition=condition, metric="margin")
        before, after = (
            statistics.fmean(row[when][2] for row in rows) for when in ("before", "after")
        )
        moved = f"{before:.2f} to {after:.2f}".replace("-", "−")
        parts.append(f"{moved} in the {space}")
    failed = sum(row["failed"] for row in of_kind(records, "failure", condition=condition))
    return (
        f"{condition}: the median margin goes from {' and from '.join(parts)}; {failed} images "
        "that were right fail, all networks together."
    )


def _listed(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def _signed(difference: float) -> str:
    return f"{difference:+.3f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
