"""Two small networks for the 8×8 digits of scikit-learn, trained here.

``python -m comparisons train --only digits`` makes the committed weights and the JSON beside
them. The CNN is piecewise linear (ReLU, batch norm, max pooling); the transformer is not (GELU,
layer norm, attention).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from comparisons.models.images import image_baselines, pixel_blocks
from comparisons.models.network import Model, Network
from comparisons.models.trained import WEIGHTS, facts_of, restore, save_facts, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MODELS",
    "SEEDS",
    "WEIGHTS",
    "DigitsCNN",
    "DigitsViT",
    "cnn",
    "split",
    "train",
    "vit",
]

SEEDS = (0, 1, 2)
EXAMPLES = 32


class DigitsCNN(nn.Sequential):
    """Convolutions, batch norm, ReLU and max pooling."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 10)),
        )


class DigitsViT(nn.Module):
    """A transformer over the 16 patches of 2×2 pixels."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.positions = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            4,
            2 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.norm(self.encoder(tokens)).mean(1))
        return logits


def cnn(seed: int | None = 0) -> Network:
    """The trained CNN of a seed with test digits."""
    return _network("digits_cnn", DigitsCNN, seed)


def vit(seed: int | None = 0) -> Network:
    """The trained transformer of a seed with test digits."""
    return _network("digits_vit", DigitsViT, seed)


MODELS = {
    model.name: model
    for model in (Model("digits_cnn", cnn, SEEDS), Model("digits_vit", vit, SEEDS))
}


def _network(name: str, build: Callable[[], nn.Module], seed: int | None) -> Network:
    model, file = build(), f"{name}_{seed}"
    weights, facts = restore(model, WEIGHTS, file), facts_of(WEIGHTS, file)
    train_images, _, images, labels = split()
    inputs = images[:EXAMPLES]
    return Network(
        name=name,
        model=model,
        inputs=inputs,
        images=inputs[:, 0].numpy(),
        labels=[str(label) for label in labels[:EXAMPLES].tolist()],
        description=(
            f"{build.__name__} trained here (seed {facts['seed']}), test accuracy "
            f"{facts['test_accuracy']:.1%}; scikit-learn's 8×8 digits, test split"
        ),
        weights_hash=weights,
        dataset="digits",
        seed=seed,
        baselines=image_baselines(inputs, train_images.mean(0, keepdim=True)),
        feature_mask=pixel_blocks(inputs, 1),
        window=(1, 2, 2),
    )


def split() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; pixels in 0–1."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    train_x, test_x = (
        torch.tensor(part / 16, dtype=torch.float32).reshape(-1, 1, 8, 8) for part in parts[:2]
    )
    return train_x, torch.tensor(parts[2]), test_x, torch.tensor(parts[3])


def train(seeds: tuple[int, ...] = SEEDS, epochs: int = 40) -> None:
    """Train both networks and write weights, seed, accuracy and hash. Some minutes."""
    for seed in seeds:
        for name, build in (("digits_cnn", DigitsCNN), ("digits_vit", DigitsViT)):
            _train(f"{name}_{seed}", build, seed, epochs)


def _train(name: str, build: Callable[[], nn.Module], seed: int, epochs: int) -> None:
    torch.manual_seed(seed)
    model = build()
    accuracy = _fit(model, epochs)
    facts = {
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": round(accuracy, 4),
        "sha256": save_weights(model, WEIGHTS, name),
        "command": "python -m comparisons train --only digits",
    }
    save_facts(facts, WEIGHTS, name)


def _fit(model: nn.Module, epochs: int) -> float:
    """Train with AdamW and a one-cycle schedule; the accuracy on the test split."""
    train_x, train_y, test_x, test_y = split()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    steps = epochs * (len(train_x) // 64 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(train_x)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return float((model(test_x).argmax(1) == test_y).float().mean())
