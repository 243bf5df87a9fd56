"""``Network``: a trained model with examples, and where both come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from comparisons.methods.method import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from torch import Tensor, nn

__all__ = ["Model", "Network", "hash_of"]


@dataclass(frozen=True)
class Network:
    """A trained model and the examples it is explained on.

    Attributes:
        name: its name in tables.
        model: in evaluation mode, float32, (batch, \\*features) → (batch, classes) logits.
        inputs: (examples, \\*features), preprocessed.
        labels: what each example shows.
        description: architecture, weights and data in one line.
        weights_hash: sha256 of the weights.
        images: the examples as a person sees them, (examples, height, width[, 3]) in 0–1;
            None if they are no images.
        dataset: the name of the data.
        seed: the seed of the model's training; None for published weights.
        baselines: name → (1 or examples, \\*features). "zero" is always there; others
            (such as "mean", "blur", "noise") are not constant.
        masks: (examples, \\*features) bool, where the evidence lies; None if nobody knows.
        feature_mask: (1, \\*features) integers: values that are removed together.
        window: what Occlusion removes at once (Captum's ``sliding_window_shapes``).
        twin: the same architecture trained on permuted labels, or None.
        feature_names: for tables and texts, the name of each feature.
        chosen_targets: (examples,) the outputs explained; None for the predicted classes.
        contributions: (examples, \\*features), the true contributions to the explained
            output, F(x) − F(0) shared out; None where none are known or there are none.
        grid: n, where every input is a grid of n×n images and its mask the explained one's
            cell; None otherwise.
    """

    name: str
    model: nn.Module
    inputs: Tensor
    labels: list[str]
    description: str
    weights_hash: str
    images: np.ndarray | None = None
    dataset: str = ""
    seed: int | None = None
    baselines: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Tensor | None = None
    feature_mask: Tensor | None = None
    window: tuple[int, ...] | None = None
    twin: nn.Module | None = None
    feature_names: tuple[str, ...] = ()
    chosen_targets: Tensor | None = None
    contributions: Tensor | None = None
    grid: int | None = None

    @property
    def targets(self) -> Tensor:
        """(examples,) the output explained: the predicted class, unless chosen."""
        if self.chosen_targets is not None:
            return self.chosen_targets
        with torch.no_grad():
            predicted = torch.cat([self.model(row[None]).argmax(1) for row in self.inputs])
        object.__setattr__(self, "chosen_targets", predicted)
        return predicted

    def baseline(self, name: str, example: int) -> Tensor:
        """(1, \\*features): the named baseline for an example."""
        if name == "zero" and name not in self.baselines:
            return torch.zeros_like(self.inputs[:1])
        found = self.baselines[name]
        return found if len(found) == 1 else found[example : example + 1]

    def setting(self, example: int, seed: int) -> Setting:
        """What methods may need to know of an example."""
        return Setting(self.baseline("zero", example), self.window, self.feature_mask, seed)


@dataclass(frozen=True)
class Model:
    """A model of the harness: a network for each training seed.

    Attributes:
        name: its name in suites and tables.
        load: training seed → network, with every example the model has.
        seeds: the training seeds there are; (None,) for published weights.
        is_optional: whether it needs packages that no extra brings; the suite quick has none
            such.
    """

    name: str
    load: Callable[[int | None], Network]
    seeds: tuple[int | None, ...] = (None,)
    is_optional: bool = False

    def first(self) -> Network:
        """The network of the first seed."""
        return self.load(self.seeds[0])


def hash_of(state: dict[str, torch.Tensor]) -> str:
    """sha256 over names and bytes of a state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
