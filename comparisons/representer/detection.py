"""Flipped labels, found by ranking the training examples.

Every ranking sees the same network and the same labels. Of Captum's methods the self-influence
ranks, as their papers propose (Pruthi et al. 2020, arXiv 2002.08484, section 4.1; Koh & Liang
2017, arXiv 1703.04730, section 5.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from captum_ilin.companions.representer import RepresenterPoints
from comparisons.representer.captums import (
    INFLUENCE,
    TRACIN,
    influence_function,
    quietly,
    tracin,
)
from comparisons.representer.records import DetectionRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captum.influence import NaiveInfluenceFunction, TracInCPFast
    from torch import Tensor, nn
    from torch.utils.data import TensorDataset

__all__ = [
    "CHECKED",
    "COEFFICIENT",
    "LOSS",
    "PENALTIES",
    "RANDOM",
    "TRACIN_LAST",
    "Trained",
    "area",
    "detections",
    "found_at",
]

PENALTIES = (0.1, 0.01, 0.001)
CHECKED = tuple(number / 20 for number in range(1, 21))
CHECKPOINTS = 5
COEFFICIENT, OTHERS = "representer α", "representer, the others' votes"
RANDOM, LOSS = "random", "loss"
TRACIN_LAST = f"{TRACIN}, last checkpoint"


class Trained(NamedTuple):
    """A network and what it was trained on.

    Attributes:
        networks: after each epoch.
        examples: images, and labels as they were trained on.
        are_wrong: which labels are flipped, (n,).
    """

    seed: int
    flipped: float
    networks: list[nn.Module]
    examples: TensorDataset
    are_wrong: Tensor

    @property
    def epochs(self) -> int:
        """How many epochs it was trained."""
        return len(self.networks)

    @property
    def network(self) -> nn.Module:
        """As it is at the end."""
        return self.networks[-1]


def detections(trained: Trained) -> Iterator[DetectionRecord]:
    """A record of every ranking."""
    for method, scores in _scores(trained):
        order = scores.argsort(descending=True, stable=True)
        yield DetectionRecord(
            trained.seed,
            trained.flipped,
            trained.epochs,
            method,
            area(order, trained.are_wrong),
            found_at(order, trained.are_wrong),
        )


def area(order: Tensor, are_wrong: Tensor) -> float:
    """Mean share of the wrong ones found, over all numbers of examples checked.

    >>> import torch
    >>> area(torch.tensor([2, 0, 1]), torch.tensor([False, False, True]))
    1.0
    """
    found = are_wrong[order].double().cumsum(0) / are_wrong.sum()
    return float(found.mean())


def found_at(order: Tensor, are_wrong: Tensor) -> tuple[float, ...]:
    """Share of the wrong ones found after each of the shares ``CHECKED``."""
    found = are_wrong[order].double().cumsum(0) / are_wrong.sum()
    return tuple(float(found[round(share * len(order)) - 1]) for share in CHECKED)


def _scores(trained: Trained) -> Iterator[tuple[str, Tensor]]:
    images, labels = trained.examples.tensors
    generator = torch.Generator().manual_seed(trained.seed)
    yield RANDOM, torch.rand(len(labels), generator=generator)
    yield LOSS, _losses(trained.network, images, labels)
    every = max(1, trained.epochs // CHECKPOINTS)
    kept = trained.networks[every - 1 :: every]
    yield f"{TRACIN}, {len(kept)} checkpoints", _self_influence(tracin(kept, trained.examples))
    yield TRACIN_LAST, _self_influence(tracin(kept[-1:], trained.examples))
    yield INFLUENCE, _self_influence(influence_function(trained.network, trained.examples))
    for penalty in PENALTIES:
        points = RepresenterPoints(
            trained.network, trained.examples, penalty=penalty, targets="labels"
        )
        yield f"{COEFFICIENT}, λ = {penalty:g}", _by(points, "coefficient")
        yield f"{OTHERS}, λ = {penalty:g}", _by(points, "others")


def _by(points: RepresenterPoints, reading: str) -> Tensor:
    found = points.mislabelled(by=reading)
    return torch.empty_like(found.scores).scatter_(0, found.indices, found.scores)


@torch.no_grad()
def _losses(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits = torch.cat([network(part) for part in images.split(500)])
    return F.cross_entropy(logits, labels, reduction="none")


def _self_influence(method: TracInCPFast | NaiveInfluenceFunction) -> Tensor:
    with quietly():
        return method.self_influence().detach()
