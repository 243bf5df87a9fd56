"""Training of the Fashion-MNIST networks and of their twins with permuted labels.

A network learns from all 60,000 training images for a few epochs. Its twin, of the same
architecture and initialisation, learns the first 2,000 training images with permuted labels
by heart (Adebayo et al. 2018, arXiv 1810.03292, the data randomisation test).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from comparisons.models.fashion import SEEDS, FashionCNN, FashionViT
from comparisons.models.fashion_data import whole, write_sample
from comparisons.models.trained import WEIGHTS, save_facts, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["accuracy", "permuted_set", "train"]

CNN_EPOCHS, VIT_EPOCHS = 5, 8
TWIN_IMAGES = 2000
TWIN_ACCURACY = 0.97  # where learning by heart ends; Adebayo et al. ask for .95
TWIN_EPOCHS = 200  # at most


def train(seeds: tuple[int, ...] = SEEDS) -> None:
    """Write the sample and every network with its JSON. A quarter of an hour on one core.

    Raises:
        MissingPackageError: the whole data are not there.
    """
    train_set, test_set = whole("train"), whole("t10k")
    write_sample()
    for seed in seeds:
        _train_cnn(seed, train_set, test_set)
    for seed in seeds:
        _train_vit(seed, train_set, test_set)


def _train_cnn(seed: int, train_set: tuple[Tensor, Tensor], test_set: Any) -> None:
    torch.manual_seed(seed)
    network = FashionCNN()
    _fit(network, *train_set, epochs=CNN_EPOCHS, rate=1e-2)
    name = f"fashion_cnn_{seed}"
    facts = _facts(network, name, seed, CNN_EPOCHS, test_set)
    facts["twin"] = _train_twin(seed, train_set, test_set)
    save_facts(facts, WEIGHTS, name)


def _train_vit(seed: int, train_set: tuple[Tensor, Tensor], test_set: Any) -> None:
    torch.manual_seed(seed)
    network = FashionViT()
    _fit(network, *train_set, epochs=VIT_EPOCHS, rate=3e-3)
    name = f"fashion_vit_{seed}"
    save_facts(_facts(network, name, seed, VIT_EPOCHS, test_set), WEIGHTS, name)


def _train_twin(seed: int, train_set: tuple[Tensor, Tensor], test_set: Any) -> dict[str, Any]:
    """Learn permuted labels by heart; what is to be recorded of it."""
    torch.manual_seed(seed)
    twin = FashionCNN()
    epochs, learned = _learn_by_heart(twin, *permuted_set(*train_set, seed))
    return {
        "train_images": TWIN_IMAGES,
        "labels": "permuted among themselves",
        "epochs": epochs,
        "train_accuracy": round(learned, 4),
        "test_accuracy": round(accuracy(twin, *test_set), 4),
        "sha256": save_weights(twin, WEIGHTS, f"fashion_cnn_{seed}_twin"),
    }


def _fit(
    network: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, rate: float
) -> None:
    """AdamW with a one-cycle schedule, batches of 128; ends in evaluation mode."""
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    steps = epochs * -(-len(images) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    network.eval()


def _learn_by_heart(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[int, float]:
    """Epochs taken and accuracy reached, with the statistics of evaluation mode."""
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    learned = 0.0
    for epoch in range(1, TWIN_EPOCHS + 1):
        network.train()
        for rows in torch.randperm(len(images)).split(100):
            optimizer.zero_grad()
            F.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
        learned = accuracy(network.eval(), images, labels)
        if learned >= TWIN_ACCURACY:
            return epoch, learned
    raise RuntimeError(f"The twin learned {learned:.1%} of its labels in {TWIN_EPOCHS} epochs.")


def permuted_set(images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """What a twin learns: the first training images, their labels permuted by a seed."""
    order = torch.randperm(TWIN_IMAGES, generator=torch.Generator().manual_seed(seed))
    return images[:TWIN_IMAGES], labels[:TWIN_IMAGES][order]


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The fraction of images whose largest logit is the label's."""
    found = torch.cat([network(part).argmax(1) for part in images.split(1000)])
    return float((found == labels).double().mean())


def _facts(
    network: nn.Module, name: str, seed: int, epochs: int, test_set: Any
) -> dict[str, Any]:
    return {
        "seed": seed,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "train_images": 60000,
        "epochs": epochs,
        "test_accuracy": round(accuracy(network, *test_set), 4),
        "sha256": save_weights(network, WEIGHTS, name),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "command": "python -m comparisons train --only fashion_mnist",
    }
