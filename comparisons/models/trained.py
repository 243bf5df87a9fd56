"""Networks trained here: their weights, and a JSON beside them that tells of the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from comparisons.models.network import hash_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WEIGHTS", "facts_of", "restore", "save_facts", "save_weights"]

WEIGHTS = Path(__file__).parent / "weights"


def restore(model: nn.Module, folder: Path, name: str) -> str:
    """Give a model its trained weights, in evaluation mode; their hash."""
    state = torch.load(folder / f"{name}.pt", weights_only=True)
    model.load_state_dict(state)
    model.eval()
    return hash_of(state)


def facts_of(folder: Path, name: str) -> dict[str, Any]:
    """Seed, epochs, accuracy, hash and command of a training."""
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def save_weights(model: nn.Module, folder: Path, name: str) -> str:
    """Write a model's weights; their hash."""
    folder.mkdir(exist_ok=True)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    torch.save(state, folder / f"{name}.pt")
    return hash_of(state)


def save_facts(facts: dict[str, Any], folder: Path, name: str) -> None:
    """Write what is to be known of a training, and say it in a line."""
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{name}: test accuracy {facts['test_accuracy']:.1%}, sha256 {facts['sha256'][:12]}")
