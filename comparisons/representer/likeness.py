"""How like the network a refit is, and how much its voters differ between test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin.companions.representer import RepresenterPoints
from comparisons.representer.captums import quietly, tracin
from comparisons.representer.detection import PENALTIES, TRACIN_LAST
from comparisons.representer.records import RefitRecord, StaticRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from comparisons.representer.detection import Trained

__all__ = ["VOTERS", "refits", "static_of", "voters_of_classes"]

VOTERS = 5


def refits(trained: Trained, test: Tensor) -> Iterator[RefitRecord]:
    """A record of each λ, fitted to the model and to the labels."""
    with torch.no_grad():
        own = trained.network(test).argmax(1)
    for targets in ("model", "labels"):
        for penalty in PENALTIES:
            points = RepresenterPoints(
                trained.network, trained.examples, penalty=penalty, targets=targets
            )
            report = points.report
            yield RefitRecord(
                trained.seed,
                trained.flipped,
                trained.epochs,
                targets,
                penalty,
                report.evaluations,
                report.stationarity,
                report.identity_residual,
                points.identity_residual(test),
                report.correlation,
                report.agreement,
                float((points.logits(test).argmax(1) == own).double().mean()),
            )


def voters_of_classes(trained: Trained, test: Tensor) -> Iterator[StaticRecord]:
    """A record of each λ's votes on the predicted class, and one of TracInCPFast's scores."""
    with torch.no_grad():
        predicted = trained.network(test).argmax(1)
    for penalty in PENALTIES:
        points = RepresenterPoints(trained.network, trained.examples, penalty=penalty)
        voters = points.influence(test, VOTERS).indices
        yield static_of(trained.seed, f"representer, λ = {penalty:g}", voters, predicted)
    with quietly():
        found = tracin(trained.networks[-1:], trained.examples).influence(
            (test, predicted), VOTERS
        )
    yield static_of(trained.seed, TRACIN_LAST, found.indices, predicted)


def static_of(seed: int, method: str, voters: Tensor, predicted: Tensor) -> StaticRecord:
    """How alike the voters, (images, k), are within each predicted class.

    >>> import torch
    >>> voters, predicted = torch.tensor([[1, 2], [1, 3], [7, 8]]), torch.tensor([0, 0, 1])
    >>> record = static_of(0, "", voters, predicted)
    >>> record.distinct, record.shared, round(record.same_first, 2), round(record.same_set, 2)
    (5, 0.5, 1.0, 0.67)
    """
    first, whole, shared = 0.0, 0.0, []
    for label in predicted.unique():
        mine = voters[predicted == label]
        first += float(mine[:, 0].unique(return_counts=True)[1].max())
        sets = mine.sort(1).values.unique(dim=0, return_counts=True)[1]
        whole += float(sets.max())
        same = (mine[:, None, :, None] == mine[None, :, None, :]).any(3).double().mean(2)
        shared.append(same[~torch.eye(len(mine), dtype=torch.bool)])
    images = len(predicted)
    return StaticRecord(
        seed,
        method,
        first / images,
        whole / images,
        float(torch.cat(shared).mean()),
        len(voters.unique()),
        images,
    )
