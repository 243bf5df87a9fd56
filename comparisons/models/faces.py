"""R-Net and O-Net of MTCNN (Zhang et al. 2016, arXiv 1604.02878), and photographs of faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from comparisons.packages import definitions, folder_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["astronaut", "faces_and_others", "onet", "rnet"]


def rnet() -> nn.Module:
    """(batch, 3, 24, 24) → box offsets (batch, 4), probabilities of no face and face."""
    return _network("RNet")


def onet() -> nn.Module:
    """(batch, 3, 48, 48) → box offsets, landmarks (batch, 10), probabilities as R-Net."""
    return _network("ONet")


def _network(name: str) -> nn.Module:
    folder = folder_of(
        "facenet_pytorch",
        purpose=f"{name[0]}-Net",
        install="--no-deps facenet-pytorch==2.6.0",
    )
    module = definitions(folder / "models" / "mtcnn.py", name)
    model: nn.Module = getattr(module, name)(pretrained=False)
    weights = folder / "data" / f"{name.lower()}.pt"
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def faces_and_others(count: int, side: int) -> tuple[Tensor, Tensor]:
    """``count`` faces and ``count`` patches without one, from scikit-image's LFW subset.

    Returns:
        Images (2·count, 3, side, side) preprocessed, and 1 for a face, 0 for none.
    """
    patches = np.load(_skimage_data() / "lfw_subset.npy")  # 100 faces, then 100 others
    chosen = np.concatenate([patches[:count], patches[100 : 100 + count]])
    images = torch.tensor(chosen).float()[:, None].expand(-1, 3, -1, -1)
    return _preprocessed(images, side), torch.arange(2 * count).lt(count).long()


def astronaut(side: int) -> Tensor:
    """The face in scikit-image's photograph of Eileen Collins, (1, 3, side, side)."""
    from skimage.io import imread

    face = imread(_skimage_data() / "astronaut.png")[50:190, 150:290] / 255
    return _preprocessed(torch.tensor(face).float().permute(2, 0, 1)[None], side)


def _skimage_data() -> Path:
    folder = folder_of(
        "skimage", purpose="The photographs of faces", install="scikit-image>=0.24"
    )
    return folder / "data"


def _preprocessed(images: Tensor, side: int) -> Tensor:
    """Pixels in 0–1 resized, then (pixel − 127.5) / 128 as the networks were trained."""
    resized = nn.functional.interpolate(
        images, (side, side), mode="bilinear", align_corners=False, antialias=True
    )
    return (resized * 255 - 127.5) / 128
