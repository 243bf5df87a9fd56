"""EfficientNet-Lite0 on grids of 2×2 photographs of different classes (GridPG, Böhle 2021)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from captum_ilin.metrics import grid_of
from comparisons.models.efficientnet import BLOCK, lite0
from comparisons.models.images import image_baselines, pixel_blocks
from comparisons.models.network import Model

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from comparisons.models.network import Network

__all__ = ["MODELS", "lite0_grid"]

CELLS = 4


def lite0_grid(seed: int | None = None) -> Network:
    """Two grids of photographs, each explained once for the class of every cell.

    The class of a cell is the one predicted for its photograph alone; the mask is the cell.
    """
    network = lite0(seed)
    with torch.no_grad():
        confidence, classes = network.model(network.inputs).softmax(1).max(1)
    grids = grid_of(network.inputs, 2, classes=classes, confidence=confidence)
    inputs = grids.inputs.repeat_interleave(CELLS, 0)
    shown = grids.images.flatten()
    return replace(
        network,
        name="efficientnet_lite0_grid",
        inputs=inputs,
        images=_seen(inputs),
        labels=[network.labels[image] for image in shown.tolist()],
        description=network.description + ", in grids of 2×2",
        baselines=image_baselines(inputs, inputs.mean(0, keepdim=True)),
        feature_mask=pixel_blocks(inputs, 2 * BLOCK),
        window=(3, 2 * BLOCK, 2 * BLOCK),
        masks=grids.cells.repeat(len(grids.inputs), 1, 1, 1).expand(-1, 3, -1, -1),
        chosen_targets=classes[shown],
        grid=2,
    )


def _seen(inputs: Tensor) -> np.ndarray:
    """Back from (pixel − 127) / 128 to 0–1."""
    scaled = (inputs * 128 + 127) / 255
    seen: np.ndarray = scaled.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return seen


MODELS = {"efficientnet_lite0_grid": Model("efficientnet_lite0_grid", lite0_grid)}
