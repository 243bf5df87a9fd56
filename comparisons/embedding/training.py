"""Training of an encoder so that neighbours stay neighbours: KL(P‖Q), in batches.

q_ij = (1 + ‖y_i − y_j‖²)⁻¹ / Σ_{k≠l} (1 + ‖y_k − y_l‖²)⁻¹ with y = f(x), so that

    KL(P‖Q) = Σ p log p + Σ p log(1 + ‖y_i − y_j‖²) + log Σ_{k≠l} (1 + ‖y_k − y_l‖²)⁻¹.

Source: van der Maaten 2009, "Learning a Parametric Embedding by Preserving Local Structure",
eqs. 1 to 4. P is that of each batch, as there; Adam takes the place of its pretraining.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from comparisons.embedding.affinities import affinities, check_points

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Schedule", "divergence", "fit", "posed"]


@dataclass(frozen=True)
class Schedule:
    """How long and in which portions an encoder is trained.

    Attributes:
        perplexity: effective neighbours of a point, within its batch.
        epochs: passes over the points.
        batch: the most points whose P is computed together. The division into batches is
            drawn once, so each P is computed once.
        rate: of Adam, at its greatest (a one-cycle schedule).
        exaggeration: the factor of P during the first quarter of the epochs, which lets
            clusters find their place (van der Maaten and Hinton 2008, section 3.4).
    """

    perplexity: float = 30.0
    epochs: int = 500
    batch: int = 1500
    rate: float = 1e-2
    exaggeration: float = 4.0


def fit(
    encoder: nn.Module,
    points: Tensor,
    schedule: Schedule,
    *,
    seed: int,
    tick: Callable[[float], None] = lambda loss: None,
) -> float:
    """Train the encoder in place.

    Args:
        encoder: (n, \\*features) → (n, 2), with a linear ``head``; its weights as they begin.
        points: (n, \\*features).
        schedule: see `Schedule`.
        seed: of the division into batches; the encoder's weights are the caller's.
        tick: called after each epoch with its mean loss, to show progress.

    Returns:
        KL(P‖Q) at the end, averaged over the batches. The map is centred, and turned to its
        principal axes (see `posed`), which the loss does not see.

    Raises:
        EmbeddingError: the points, or the smallest batch of them, allow no P.
    """
    parts = _divided(len(points), schedule.batch, seed)
    check_points(points[parts[-1]], schedule.perplexity)
    batches = [(points[rows], affinities(points[rows], schedule.perplexity)) for rows in parts]
    targets = [(part, P.to(points.dtype)) for part, P in batches]
    optimizer = torch.optim.Adam(encoder.parameters(), schedule.rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schedule.rate, total_steps=schedule.epochs * len(targets)
    )
    for epoch in range(schedule.epochs):
        factor = schedule.exaggeration if 4 * epoch < schedule.epochs else 1.0
        total = 0.0
        for part, P in targets:
            optimizer.zero_grad()
            loss = _loss(encoder(part), P, factor)
            loss.backward()
            optimizer.step()
            pace.step()
            total += float(loss.detach())
        tick(total / len(targets))
    posed(encoder, points)
    with torch.no_grad():
        return sum(float(divergence(encoder(part), P)) for part, P in batches) / len(batches)


def divergence(coordinates: Tensor, P: Tensor) -> Tensor:
    """KL(P‖Q), in nats.

    Args:
        coordinates: y, (n, 2).
        P: (n, n), sums to 1, 0 on the diagonal.

    >>> import torch
    >>> y = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> Q = torch.tensor([[0.0, 3, 3], [3, 0, 2], [3, 2, 0]]) / 16
    >>> round(float(divergence(y, Q)), 6)
    0.0
    """
    return _loss(coordinates, P, 1.0) + torch.special.xlogy(P, P).sum()


def _loss(coordinates: Tensor, P: Tensor, exaggeration: float) -> Tensor:
    """The part of KL(P‖Q) that depends on the coordinates."""
    squared = sum((axis[:, None] - axis).square() for axis in coordinates.unbind(1))
    assert isinstance(squared, Tensor)
    partition = (1 + squared).reciprocal().sum() - len(coordinates)  # without k = l
    return exaggeration * (P * squared.log1p()).sum() + partition.log()


@torch.no_grad()
def posed(encoder: nn.Module, points: Tensor) -> None:
    """Centre the map and turn it to its principal axes, by its head, in place.

    t-SNE's loss leaves shift, rotation and reflection open. Afterwards the points' mean is 0,
    axis 1 is the one along which they spread most, and on both axes the point that is
    farthest out is on the positive side.
    """
    head = encoder.get_submodule("head")
    assert isinstance(head, nn.Linear)
    coordinates = torch.cat([encoder(part) for part in points.split(1000)]).double()
    centred = coordinates - coordinates.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh
    turned = centred @ axes.T
    farthest = turned.gather(0, turned.abs().argmax(0, keepdim=True))
    axes = axes * farthest.sign().T
    head.bias.copy_(axes @ (head.bias.double() - coordinates.mean(0)))
    head.weight.copy_(axes @ head.weight.double())


def _divided(count: int, batch: int, seed: int) -> list[Tensor]:
    """Rows of each batch, equally many but for one."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return list(order.tensor_split(max(1, -(-count // batch))))
