"""The pictures of a run: found against checked, and votes with the pixels they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from captum_ilin.pictures import vote_maps
from comparisons.embedding.tables import of_kind
from comparisons.picture import few_colours
from comparisons.representer.captums import INFLUENCE, TRACIN
from comparisons.representer.detection import CHECKED, COEFFICIENT, LOSS, PENALTIES, RANDOM
from comparisons.representer.tables import distinct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from comparisons.models.tsne_data import Points
    from comparisons.representer.sharing import Shared

__all__ = ["save_figures"]

# Okabe and Ito's colours
COLOURS = {"ours": "#D55E00", "weak": "#E69F00", TRACIN: "#0072B2", INFLUENCE: "#009E73"}
SHOWN: Any = {"font.size": 9, "savefig.dpi": 110, "axes.titlesize": 9}


def save_figures(
    folder: Path, records: Sequence[dict[str, Any]], shared: Shared, points: Points
) -> list[Path]:
    """Draw and save ``detection.png`` and ``votes.png``."""
    with plt.rc_context(SHOWN):
        path = folder / "detection.png"
        figure = _detection(records, points.title)
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)
    votes = folder / "votes.png"
    _votes(shared, points, votes)
    for each in (path, votes):
        each.write_bytes(few_colours(each))
    return [path, votes]


def _detection(records: Sequence[dict[str, Any]], title: str) -> Figure:
    epochs = max(distinct(records, "detection", "epochs"))
    shares = distinct(records, "detection", "flipped")
    figure, axes = plt.subplots(
        1,
        len(shares),
        figsize=(max(2.6 * len(shares) + 0.4, 8), 3.4),
        sharey=True,
        squeeze=False,
    )
    for axis, flipped in zip(axes[0], shares, strict=True):
        rows = of_kind(records, "detection", epochs=epochs, flipped=flipped)
        for method in distinct(rows, "detection", "method"):
            if (look := _look(method)) is not None:
                curves = [row["found"] for row in of_kind(rows, "detection", method=method)]
                axis.plot((0, *CHECKED), (0, *np.mean(curves, 0)), label=method, **look)
        axis.set_title(f"{100 * flipped:.0f} % flipped")
        axis.set_xlabel("share checked")
        axis.grid(color="0.92")
    axes[0, 0].set_ylabel("share of the flipped labels found")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(f"{title}, {epochs} epochs: flipped labels found (mean over seeds)")
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    return figure


def _look(method: str) -> dict[str, Any] | None:
    """How a ranking is drawn; None for one that is only in the tables."""
    if method == RANDOM:
        return {"color": "0.7", "ls": ":"}
    if method == LOSS:
        return {"color": "0.2", "ls": "--"}
    if method == f"{COEFFICIENT}, λ = {PENALTIES[0]:g}":
        return {"color": COLOURS["ours"], "lw": 2}
    if method == f"{COEFFICIENT}, λ = {PENALTIES[-1]:g}":
        return {"color": COLOURS["weak"]}
    if method.startswith(TRACIN):
        return {"color": COLOURS[TRACIN], "ls": "-." if "last" in method else "-"}
    return {"color": COLOURS[INFLUENCE]} if method == INFLUENCE else None


def _votes(shared: Shared, points: Points, path: Path) -> None:
    """The test image whose voters are of most classes; of several the first."""
    shares, labels = shared.shares, points.train_labels
    voters = shares.examples
    kinds = [len(labels[row].unique()) for row in voters]
    row = int(np.argmax(kinds))
    pixels = shares.features
    assert not isinstance(pixels, tuple)
    vote_maps(
        shared.images[row],
        points.train[voters[row]],
        pixels[row],
        shares.votes[row],
        labels=[points.classes[int(labels[voter])] for voter in voters[row]],
        name=f"test: {points.classes[int(points.test_labels[row])]}",
        title=f"Votes on “{points.classes[int(shares.targets[row])]}”",
        save=path,
    )
