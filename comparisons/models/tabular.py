"""Two small networks for scikit-learn's breast cancer data, 30 measurements of a tumour.

``train`` makes the committed weights and the JSON beside them. One network is piecewise linear
(ReLU), the other smooth (GELU). The measurements are standardised on the training split, so
the baseline "zero" is the mean tumour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from comparisons.models.network import Model, Network
from comparisons.models.trained import WEIGHTS, facts_of, restore, save_facts, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODELS", "SEEDS", "WEIGHTS", "gelu", "relu", "train"]

SEEDS = (0, 1, 2)
EXAMPLES = 64
EPOCHS = 15


class Split(NamedTuple):
    """Standardised measurements, (rows, 30), and classes, (rows,)."""

    train_inputs: Tensor
    train_classes: Tensor
    test_inputs: Tensor
    test_classes: Tensor
    features: tuple[str, ...]
    classes: tuple[str, ...]


def relu(seed: int | None = 0) -> Network:
    """The piecewise linear network of a seed with test tumours."""
    return _network("breast_cancer_relu", nn.ReLU, seed)


def gelu(seed: int | None = 0) -> Network:
    """The smooth network of a seed with test tumours."""
    return _network("breast_cancer_gelu", nn.GELU, seed)


MODELS = {
    model.name: model
    for model in (
        Model("breast_cancer_relu", relu, SEEDS),
        Model("breast_cancer_gelu", gelu, SEEDS),
    )
}


def train(seeds: tuple[int, ...] = SEEDS) -> None:
    """Train both networks and write weights, seed, accuracy and hash. Some seconds."""
    for seed in seeds:
        for name, activation in (("relu", nn.ReLU), ("gelu", nn.GELU)):
            _train(f"breast_cancer_{name}_{seed}", activation, seed)


def _network(name: str, activation: Callable[[], nn.Module], seed: int | None) -> Network:
    model, split, file = _perceptron(activation), _split(), f"{name}_{seed}"
    weights, facts = restore(model, WEIGHTS, file), facts_of(WEIGHTS, file)
    return Network(
        name=name,
        model=model,
        inputs=split.test_inputs[:EXAMPLES],
        labels=[split.classes[label] for label in split.test_classes[:EXAMPLES].tolist()],
        description=(
            f"perceptron of two hidden layers trained here (seed {seed}), test accuracy "
            f"{facts['test_accuracy']:.1%}; scikit-learn's breast cancer data, standardised, "
            "test split"
        ),
        weights_hash=weights,
        dataset="breast_cancer",
        seed=seed,
        baselines={
            "zero": torch.zeros_like(split.test_inputs[:1]),
            "sample": split.train_inputs[:EXAMPLES],
        },
        feature_names=split.features,
    )


def _perceptron(activation: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(30, 32), activation()),
        *(nn.Linear(32, 16), activation()),
        nn.Linear(16, 2),
    )


def _split() -> Split:
    data = load_breast_cancer()
    train_x, test_x, train_y, test_y = train_test_split(
        data.data, data.target, test_size=0.25, random_state=0, stratify=data.target
    )
    mean, deviation = train_x.mean(0), train_x.std(0)
    train_inputs, test_inputs = (
        torch.tensor((part - mean) / deviation, dtype=torch.float32)
        for part in (train_x, test_x)
    )
    return Split(
        *(train_inputs, torch.tensor(train_y), test_inputs, torch.tensor(test_y)),
        features=tuple(str(name) for name in data.feature_names),
        classes=tuple(str(name) for name in data.target_names),
    )


def _train(name: str, activation: Callable[[], nn.Module], seed: int) -> None:
    torch.manual_seed(seed)
    model = _perceptron(activation)
    accuracy = _fit(model)
    facts = {
        "seed": seed,
        "epochs": EPOCHS,
        "test_accuracy": round(accuracy, 4),
        "sha256": save_weights(model, WEIGHTS, name),
        "command": "python -m comparisons train --only breast_cancer",
    }
    save_facts(facts, WEIGHTS, name)


def _fit(model: nn.Module) -> float:
    """Train with AdamW; the accuracy on the test split."""
    split = _split()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-2)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(split.train_inputs)).split(32):
            optimizer.zero_grad()
            logits = model(split.train_inputs[rows])
            F.cross_entropy(logits, split.train_classes[rows]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        right = model(split.test_inputs).argmax(1) == split.test_classes
    return float(right.double().mean())
