"""The attribution grid: a few examples under every method, computed anew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize

from captum_ilin.pictures import SIGNED_MAP
from comparisons.measures.measure import Case
from comparisons.methods import METHODS
from comparisons.models import MODELS
from comparisons.report.columns import is_control, method_order
from comparisons.report.figures.drawing import panels, save

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from comparisons.methods import Method
    from comparisons.models.network import Network
    from comparisons.report.figures.drawing import Figure

__all__ = ["grid_figures"]

EXAMPLES = 3
WIDE = 10  # pictures in a row
DPI = 120  # a tile of 1.2 inches has about as many points as a map of a photograph
BUDGET = 4e6  # features × passes, beyond which a method is left out
CAPTION = (
    "Attributions to the explained class, summed over channels: red for, blue against. "
    "Contributions (W ∘ x and its like) share one symmetric scale in each example, the median "
    "over methods of the 99th percentile of |φ|; slopes, marked *, have no logits for a unit "
    "and their own scale each. A picture that pleases is no evidence for faithfulness."
)


def grid_figures(folder: Path, frame: pd.DataFrame, notes: list[str]) -> Iterator[Figure]:
    """One figure for each model that is registered and sees images; the others are noted."""
    for model, part in frame.groupby("model"):
        network = _network(str(model), part, notes)
        if network is None:
            continue
        chosen = sorted(part["method"].unique(), key=method_order)
        methods = [METHODS[m] for m in chosen if m in METHODS and not is_control(m)]
        held = [m for m in methods if m.passes * network.inputs[0].numel() <= BUDGET]
        if left := [m.name for m in methods if m not in held]:
            notes.append(f"{model}: the grid leaves out {', '.join(left)}, which take longest.")
        samples = sorted(part["sample"].unique())[:EXAMPLES]
        yield _figure(folder, network, held, [int(sample) for sample in samples])


def _network(model: str, part: pd.DataFrame, notes: list[str]) -> Network | None:
    if model not in MODELS:
        notes.append(f"{model}: no attribution grid, the model is not registered.")
        return None
    seeds = part["model_seed"].dropna()
    try:
        network = MODELS[model].load(int(seeds.min()) if len(seeds) else None)
    except Exception as error:  # whatever a model's own packages raise, the report goes on
        notes.append(f"{model}: no attribution grid, {type(error).__name__}: {error}")
        return None
    if network.images is None or network.inputs.dim() != 4:
        notes.append(f"{model}: no attribution grid, its inputs are no images.")
        return None
    return network


def _figure(
    folder: Path, network: Network, methods: list[Method], samples: list[int]
) -> Figure:
    bands = math.ceil((len(methods) + 1) / WIDE)
    wide = math.ceil((len(methods) + 1) / bands)
    figure, axes = panels(bands * len(samples) * wide, columns=wide, width=1.25, height=1.36)
    for place, sample in enumerate(samples):
        tiles = [_picture(network, sample), *_maps(network, methods, sample)]
        for number in range(bands * wide):
            axis = axes[place * bands * wide + number]
            axis.axis("off")
            if number < len(tiles):
                _draw(axis, *tiles[number])
    name = f"attributions_{network.name}"
    return save(figure, folder, name, f"Attributions on {network.name}", CAPTION, dpi=DPI)


Tile = tuple[str, Any, Any, float]


def _picture(network: Network, sample: int) -> Tile:
    assert network.images is not None
    return f"{network.labels[sample]}", network.images[sample], "gray_r", 0.0


def _maps(network: Network, methods: list[Method], sample: int) -> list[Tile]:
    found = {method.name: _map(network, method, sample) for method in methods}
    sizes = {
        name: float(np.percentile(np.abs(values), 99))
        for name, values in found.items()
        if isinstance(values, np.ndarray)
    }
    shared = [sizes[m.name] for m in methods if m.is_contribution and m.name in sizes]
    limit = float(np.median(shared)) if shared else 1.0
    return [
        (
            method.name if method.is_contribution else f"{method.name} *",
            found[method.name],
            SIGNED_MAP,
            (limit if method.is_contribution else sizes.get(method.name, 1.0)) or 1.0,
        )
        for method in methods
    ]


def _map(network: Network, method: Method, sample: int) -> Any:
    """(height, width), or the error's name."""
    try:
        found = Case(network, method, sample, seed=0).attributions
    except Exception as error:  # a method that fails says so in its place
        return type(error).__name__
    return found[0].detach().sum(0).cpu().numpy()


def _draw(axis: Axes, title: str, values: Any, colours: Any, limit: float) -> None:
    axis.set_title(title, fontsize=7.5, pad=2)
    if isinstance(values, str):
        axis.text(0.5, 0.5, f"failed\n{values}", ha="center", va="center", fontsize=6.5)
        return
    scale = Normalize(-limit, limit) if limit else None
    axis.imshow(values, cmap=colours, norm=scale, interpolation="nearest")
