"""Small networks for Fashion-MNIST, trained here, with several seeds and label-permuted twins.

The CNN is piecewise linear (ReLU, batch norm, max pooling) and made of modules that occur
once, so that DeepLIFT, LRP and guided backprop can run on it. The transformer is not piecewise
linear (GELU, layer norm, attention). ``python -m comparisons train --only fashion_mnist`` makes
the weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from comparisons.models.fashion_data import CLASSES, mean_image, sample
from comparisons.models.images import image_baselines, pixel_blocks
from comparisons.models.network import Model, Network
from comparisons.models.trained import WEIGHTS, facts_of, restore

__all__ = ["MODELS", "SEEDS", "WEIGHTS", "FashionCNN", "FashionViT", "cnn", "vit"]

SEEDS = (0, 1, 2)


class FashionCNN(nn.Module):
    """Three convolutions with batch norm, ReLU and max pooling, and a linear readout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        )
        self.readout = nn.Linear(32 * 7 * 7, 10)

    def forward(self, images: Tensor) -> Tensor:
        # not nn.Flatten, for which Captum's LRP has no rule
        logits: Tensor = self.readout(self.features(images).flatten(1))
        return logits


class FashionViT(nn.Module):
    """A transformer over the 49 patches of 4×4 pixels."""

    def __init__(self, width: int = 48, depth: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, stride=4)
        self.positions = nn.Parameter(torch.randn(1, 49, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            4,
            2 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.norm(self.encoder(tokens)).mean(1))
        return logits


def cnn(seed: int | None = 0) -> Network:
    """The CNN of a seed with a hundred test images and its twin."""
    twin = FashionCNN()
    restore(twin, WEIGHTS, f"fashion_cnn_{seed}_twin")
    return _network(f"fashion_cnn_{seed}", FashionCNN(), twin)


def vit(seed: int | None = 0) -> Network:
    """The transformer of a seed with a hundred test images."""
    return _network(f"fashion_vit_{seed}", FashionViT())


MODELS = {
    model.name: model
    for model in (Model("fashion_cnn", cnn, SEEDS), Model("fashion_vit", vit, SEEDS))
}


def _network(file: str, model: nn.Module, twin: nn.Module | None = None) -> Network:
    weights, facts = restore(model, WEIGHTS, file), facts_of(WEIGHTS, file)
    images, labels = sample()
    return Network(
        name=file.rpartition("_")[0],
        model=model,
        inputs=images,
        images=images[:, 0].numpy(),
        labels=[CLASSES[label] for label in labels.tolist()],
        description=_description(model, facts),
        weights_hash=weights,
        dataset="fashion_mnist",
        seed=facts["seed"],
        baselines=image_baselines(images, mean_image()),
        feature_mask=pixel_blocks(images, 2),
        window=(1, 4, 4),
        twin=twin,
    )


def _description(model: nn.Module, facts: dict[str, Any]) -> str:
    text = (
        f"{type(model).__name__} trained here (seed {facts['seed']}) on all "
        f"{facts['train_images']:,} images of Fashion-MNIST, test accuracy "
        f"{facts['test_accuracy']:.1%}"
    )
    if "twin" not in facts:
        return text
    twin = facts["twin"]
    return (
        f"{text}; its twin on {twin['train_images']:,} of them with permuted labels, "
        f"training accuracy {twin['train_accuracy']:.1%}"
    )
