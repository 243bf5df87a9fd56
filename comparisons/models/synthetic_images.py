"""An image network whose evidence is known, by construction: a planted patch, and grids.

Each class has a patch of 4×4 pixels of ±1 in three channels. An image is noise with one
class's patch added somewhere. The network matches every place with every patch, cuts the
match off below a threshold that only the patch itself passes, adds up over the places, and
subtracts the mean of the classes:

    m_c(p) = max(⟨patch_c, image around p⟩ − θ, 0),   F_c = Σ_p m_c(p) − (1/C) Σ_k Σ_p m_k(p)

Only the planted patch moves F, so the mask is exact. On grids of images of different classes
the target's cell alone moves F_c up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from captum_ilin.metrics import grid_of
from comparisons.models.network import Model, Network, hash_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MODELS", "PatchDetector", "grid", "patch"]

EXAMPLES, CLASSES = 32, 6
SIDE, PATCH, NOISE = 16, 4, 0.25
THRESHOLD = 24.0  # half of a patch's match with itself, 3·4·4


class PatchDetector(nn.Module):
    """Matched filters, a threshold, a sum over places and a readout."""

    def __init__(self, patches: Tensor) -> None:
        super().__init__()
        count = len(patches)
        self.match = nn.Conv2d(3, count, PATCH)
        self.match.weight = nn.Parameter(patches.clone())
        self.match.bias = nn.Parameter(torch.full((count,), -THRESHOLD))
        self.threshold = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.readout = nn.Linear(count, count)
        places = (SIDE - PATCH + 1) ** 2  # the mean over places times their number is the sum
        self.readout.weight = nn.Parameter((torch.eye(count) - 1 / count) * places)
        self.readout.bias = nn.Parameter(torch.zeros(count))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.pool(self.threshold(self.match(images))).flatten(1))
        return logits


def patch(seed: int | None = None) -> Network:
    """Images with one patch each."""
    inputs, classes, masks = _images(torch.Generator().manual_seed(1), EXAMPLES)
    return _network("patch", inputs, classes, masks, block=2)


def grid(seed: int | None = None) -> Network:
    """Grids of 2×2 such images of different classes; the mask is the explained one's cell."""
    images, classes, _ = _images(torch.Generator().manual_seed(2), EXAMPLES * 6)
    grids = grid_of(images, 2, classes=classes, count=EXAMPLES)
    cells = torch.arange(EXAMPLES) % 4
    targets = classes[grids.images].gather(1, cells[:, None])[:, 0]
    masks = grids.cells[cells].expand(-1, 3, -1, -1)
    return _network("grid", grids.inputs, targets, masks, block=4, cells=2)


MODELS = {model.name: model for model in (Model("patch", patch), Model("grid", grid))}


def _patches() -> Tensor:
    """(classes, 3, 4, 4) of ±1."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(2, (CLASSES, 3, PATCH, PATCH), generator=generator)
    return drawn.float() * 2 - 1


def _images(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a patch, every class equally often; classes; where the patch lies."""
    inputs = NOISE * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    classes = torch.arange(count) % CLASSES
    corners = torch.randint(SIDE - PATCH + 1, (count, 2), generator=generator).tolist()
    masks = torch.zeros(inputs.shape, dtype=torch.bool)
    patches = _patches()
    for image, (top, left) in enumerate(corners):
        place = (image, slice(None), slice(top, top + PATCH), slice(left, left + PATCH))
        inputs[place] += patches[classes[image]]
        masks[place] = True
    return inputs, classes, masks


def _network(
    name: str,
    inputs: Tensor,
    targets: Tensor,
    masks: Tensor,
    *,
    block: int,
    cells: int | None = None,
) -> Network:
    model = PatchDetector(_patches()).eval().requires_grad_(False)
    shown = "grids of 2×2 images" if cells else "images"
    return Network(
        name=name,
        model=model,
        inputs=inputs,
        images=_seen(inputs),
        labels=[f"patch {target}" for target in targets.tolist()],
        description=(
            f"matched filters of {CLASSES} patches, weights written down; {shown} of noise "
            "with one planted patch each, the evidence known"
        ),
        weights_hash=hash_of(model.state_dict()),
        dataset="synthetic",
        baselines=_baselines(inputs),
        masks=masks,
        feature_mask=_blocks(inputs, block),
        window=(3, PATCH, PATCH),
        chosen_targets=targets,
        grid=cells,
    )


def _baselines(inputs: Tensor) -> dict[str, Tensor]:
    """Zero, the inputs' mean, and fresh noise without a patch."""
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(3))
    return {
        "zero": torch.zeros_like(inputs[:1]),
        "mean": inputs.mean(0, keepdim=True),
        "noise": NOISE * noise,
    }


def _blocks(inputs: Tensor, block: int) -> Tensor:
    """(1, 3, side, side): 64 blocks of pixels with all their channels."""
    side = inputs.shape[-1]
    rows = torch.arange(side) // block
    return (rows[:, None] * (side // block) + rows).expand(1, 3, side, side).contiguous()


def _seen(inputs: Tensor) -> np.ndarray:
    scaled = (inputs - inputs.min()) / (inputs.max() - inputs.min())
    return scaled.permute(0, 2, 3, 1).numpy()
