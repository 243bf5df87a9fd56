"""A small network that tells antimicrobial peptides from others by their first 15 residues.

``python -m comparisons train --only peptides`` makes the committed weights, the JSON beside
them, and the committed part of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from comparisons.models.peptides_data import (
    AMINO_ACIDS,
    GROUPS,
    LENGTH,
    divided,
    sample,
    write_sample,
)
from comparisons.models.trained import WEIGHTS, facts_of, restore, save_facts, save_weights

if TYPE_CHECKING:
    from torch import Tensor

    from comparisons.models.peptides_data import Peptides

__all__ = ["EPOCHS", "SEEDS", "PeptideNet", "accuracy", "peptide_net", "peptides", "train"]

SEEDS = (0, 1, 2)
EPOCHS = 12

peptides = sample


class PeptideNet(nn.Sequential):
    """One-hot residues (batch, 15, 20) → logits (batch, 2)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__(
            nn.Flatten(),
            *(nn.Linear(LENGTH * len(AMINO_ACIDS), width), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(width, width // 2), nn.ReLU()),
            nn.Linear(width // 2, 2),
        )


def peptide_net(seed: int = 0) -> PeptideNet:
    """The trained network of a seed."""
    model = PeptideNet()
    restore(model, WEIGHTS, f"peptides_{seed}")
    return model


def peptide_facts(seed: int = 0) -> dict[str, object]:
    """What is known of its training."""
    return facts_of(WEIGHTS, f"peptides_{seed}")


@torch.no_grad()
def accuracy(model: nn.Module, codes: Tensor, labels: Tensor) -> float:
    """The fraction of windows whose larger logit is the label's."""
    return float((model(GROUPS.encode(codes)).argmax(1) == labels).double().mean())


def train(seeds: tuple[int, ...] = SEEDS) -> None:
    """Write the sample and each network with its JSON. Seconds.

    Raises:
        MissingPackageError: the data are not there.
    """
    data = divided()
    write_sample(data)
    for seed in seeds:
        model = fitted(data, seed)
        facts = {
            "seed": seed,
            "epochs": EPOCHS,
            "windows": len(data.train),
            "train_accuracy": round(accuracy(model, data.train, data.train_labels), 4),
            "test_accuracy": round(accuracy(model, data.test, data.test_labels), 4),
            "test_majority": round(float(data.test_labels.double().mean()), 4),
            "sha256": save_weights(model, WEIGHTS, f"peptides_{seed}"),
            "command": "python -m comparisons train --only peptides",
        }
        save_facts(facts, WEIGHTS, f"peptides_{seed}")


def fitted(data: Peptides, seed: int, epochs: int = EPOCHS) -> PeptideNet:
    """A network trained with AdamW and a one-cycle schedule, in evaluation mode."""
    torch.manual_seed(seed)
    model, inputs = PeptideNet(), GROUPS.encode(data.train)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    steps = epochs * -(-len(inputs) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[rows]), data.train_labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()
