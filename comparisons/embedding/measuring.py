"""An encoder measured at the held-out points: loadings, pairs of points, moves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA

from comparisons.embedding.loadings import Loadings, loadings_of, plane_overlap
from comparisons.embedding.moves import move
from comparisons.embedding.pair import pair_of
from comparisons.embedding.records import ClassRecord, EncoderRecord, MoveRecord, PairRecord
from comparisons.models.network import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from comparisons.embedding.records import Record
    from comparisons.models.tsne_data import Points

__all__ = ["held_out_loadings", "measured"]

PAIRS = 100  # of the same class, and as many of different ones
MOVED = 50
PORTION = 250


def measured(
    encoder: nn.Module, points: Points, seed: int, divergence: float
) -> Iterator[Record]:
    """The records of an encoder; pairs and moved points are drawn from its seed."""
    loadings = held_out_loadings(encoder, points.test)
    yield _of_encoder(encoder, points, seed, divergence, loadings)
    yield from _of_classes(points, seed, loadings)
    generator = torch.Generator().manual_seed(seed)
    yield from _of_pairs(points, seed, loadings, generator)
    yield from _of_moves(encoder, points, seed, generator)


def held_out_loadings(encoder: nn.Module, points: Tensor) -> Loadings:
    """Loadings of many points, a portion at a time."""
    parts = [loadings_of(encoder, part) for part in points.split(PORTION)]
    return Loadings(
        torch.cat([part.points for part in parts]),
        torch.cat([part.weight for part in parts]),
        torch.cat([part.bias for part in parts]),
        torch.cat([part.coordinates for part in parts]),
    )


@torch.no_grad()
def _of_encoder(
    encoder: nn.Module, points: Points, seed: int, divergence: float, loadings: Loadings
) -> EncoderRecord:
    train = torch.cat([encoder(part) for part in points.train.split(1000)]).double()
    shares = loadings.bias.norm(dim=1) / loadings.coordinates.norm(dim=1)
    return EncoderRecord(
        seed,
        hash_of(encoder.state_dict()),
        divergence,
        float((train - train.mean(0)).square().sum(1).mean().sqrt()),
        loadings.completeness_error,
        float(shares.median()),
    )


def _of_classes(points: Points, seed: int, loadings: Loadings) -> Iterator[ClassRecord]:
    pixels = points.train.flatten(1).double()
    varies = pixels.std(0) > 0  # what never varied was not learned, and PCA has 0 there
    weights = loadings.weight.flatten(2)[:, :, varies]
    components, deviations = _components(pixels[:, varies])
    by_component = weights @ components.T  # in which PCA's plane is that of the first two
    plane = torch.eye(2, len(components), dtype=torch.float64)
    overlaps = plane_overlap(by_component, plane)
    as_scores = plane_overlap(by_component * deviations, plane)
    flat = (by_component * deviations).flatten(1)
    with_all = F.cosine_similarity(flat, flat.mean(0, keepdim=True))
    for label, name in enumerate(points.classes):
        rows = points.test_labels == label
        with_class = F.cosine_similarity(flat[rows], flat[rows].mean(0, keepdim=True))
        yield ClassRecord(
            seed,
            name,
            int(rows.sum()),
            float(with_class.mean()),
            float(with_all[rows].mean()),
            float(overlaps[rows].mean()),
            float(as_scores[rows].mean()),
        )


def _components(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """All principal components, (k, features), and the deviation of the data along each."""
    found = PCA().fit(pixels.numpy())
    deviations = torch.from_numpy(found.explained_variance_).sqrt()
    return torch.from_numpy(found.components_), deviations


def _of_pairs(
    points: Points, seed: int, loadings: Loadings, generator: torch.Generator
) -> Iterator[PairRecord]:
    for first, second in _drawn(points.test_labels, generator):
        pair = pair_of(loadings, first, second)
        yield PairRecord(
            seed,
            first,
            second,
            points.classes[int(points.test_labels[first])],
            points.classes[int(points.test_labels[second])],
            pair.distance,
            float(pair.along(pair.by_features).sum()),
            float(pair.along(pair.by_loadings).sum()),
            float(pair.along(pair.by_bias)),
            pair.completeness_error,
        )


def _drawn(labels: Tensor, generator: torch.Generator) -> Iterator[tuple[int, int]]:
    """Random pairs: of different classes first, then of the same class."""
    for is_alike in (False, True):
        found = 0
        while found < PAIRS:
            first, second = torch.randint(len(labels), (2,), generator=generator).tolist()
            if first != second and bool(labels[first] == labels[second]) is is_alike:
                found += 1
                yield first, second


def _of_moves(
    encoder: nn.Module, points: Points, seed: int, generator: torch.Generator
) -> Iterator[MoveRecord]:
    moved = torch.randperm(len(points.test), generator=generator)[:MOVED]
    for point in moved.tolist():
        label = points.classes[int(points.test_labels[point])]
        for axis in (1, 2):
            found = move(encoder, points.test[point : point + 1], axis)
            yield MoveRecord(seed, point, label, **asdict(found))
