"""Parametric t-SNE: P, the loss and the training against slow references from the papers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.embedding import (
    EmbeddingError,
    Perceptron,
    Schedule,
    affinities,
    divergence,
    fit,
    preservation,
)
from comparisons.embedding.affinities import conditional
from comparisons.embedding.preservation import label_accuracy
from comparisons.embedding.training import posed

if TYPE_CHECKING:
    from torch import Tensor

Rows = list[list[float]]
SHORT = Schedule(perplexity=5.0, epochs=12, batch=20)


def points(count: int = 40, features: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, features, generator=generator, dtype=torch.float64)


def encoder(seed: int = 0) -> Perceptron:
    torch.manual_seed(seed)
    return Perceptron(5, widths=(8, 6)).double()


# P


def near_by_loops(x: Rows, i: int, beta: float) -> list[float]:
    """p_{j|i} as van der Maaten and Hinton's eq. 1 has it, β = 1 / 2σ²."""
    weights = [
        0.0 if j == i else math.exp(-beta * math.dist(x[i], x[j]) ** 2) for j in range(len(x))
    ]
    return [weight / sum(weights) for weight in weights]


def perplexity_by_loops(row: list[float]) -> float:
    return float(2 ** -sum(p * math.log2(p) for p in row if p > 0))


def affinities_by_loops(x: Rows, perplexity: float) -> Rows:
    """β by doubling and halving, in plain numbers; then the symmetric P."""
    rows = []
    for i in range(len(x)):
        low, high = 0.0, 1.0
        while perplexity_by_loops(near_by_loops(x, i, high)) > perplexity:
            low, high = high, 2 * high
        for _ in range(100):
            beta = (low + high) / 2
            is_wide = perplexity_by_loops(near_by_loops(x, i, beta)) > perplexity
            low, high = (beta, high) if is_wide else (low, beta)
        rows.append(near_by_loops(x, i, low))
    n = len(x)
    return [[(rows[i][j] + rows[j][i]) / (2 * n) for j in range(n)] for i in range(n)]


@pytest.mark.parametrize("perplexity", [1.2, 5.0, 30.0])
def test_p_is_the_paper_s(perplexity: float) -> None:
    x = points()
    expected = torch.tensor(affinities_by_loops(x.tolist(), perplexity), dtype=torch.float64)
    # β is bisected to 1e-15 here and to 80 / 2^60 in its logarithm there; ln p follows it
    # with a factor β (d² − mean d²), some dozens
    assert torch.allclose(affinities(x, perplexity), expected, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("perplexity", [1.01, 7.0, 38.5])
def test_the_perplexity_is_reached_at_any_scale(perplexity: float, scale: float) -> None:
    rows = conditional(scale * points(), perplexity).tolist()
    reached = [perplexity_by_loops(row) for row in rows]
    assert reached == pytest.approx([perplexity] * len(rows), rel=1e-4)
    P = affinities(scale * points(), perplexity)
    assert torch.equal(P, P.T)
    assert P.diagonal().tolist() == [0.0] * 40
    assert float(P.sum()) == pytest.approx(1, rel=1e-12)


def test_images_and_their_rows_have_the_same_p() -> None:
    x = points(features=12)
    assert torch.equal(affinities(x.reshape(-1, 1, 3, 4), 5.0), affinities(x, 5.0))


def broken() -> Tensor:
    x = points()
    x[7, 2], x[9] = math.nan, math.inf
    return x


@pytest.mark.parametrize(
    ("given", "perplexity", "message"),
    [
        (
            points(20),
            30.0,
            "Expected a perplexity below 19, got 30: it asks for 30 neighbours of each point, "
            "and the 20 points that are embedded together have 19 others each. Lower the "
            "perplexity, or give more points.",
        ),
        (points(20), 19.0, "Expected a perplexity below 19, got 19: it asks for 19 neighbours"),
        (
            points(),
            0.5,
            "Expected a perplexity above 1, got 0.5: it is the effective number of neighbours "
            "of a point. Usual values are 5 to 50.",
        ),
        (points(), 1.0, "Expected a perplexity above 1, got 1: "),
        (points(), math.nan, "Expected a perplexity above 1, got nan: "),
        (
            points(1),
            5.0,
            "Expected at least 3 points, got 1: a map of neighbours needs points that have a "
            "nearer and a farther one. Give more points.",
        ),
        (
            broken(),
            5.0,
            "Expected finite points, got NaN or infinite values in 2 of 40, the first of them "
            "point 7: their distances mean nothing. Remove these points, or fill in what is "
            "missing.",
        ),
        (
            torch.zeros(6, 3),
            2.0,
            "Expected a perplexity of 2 at every point, got 5 at point 0: so many others are "
            "equally near to it. Remove duplicates, or raise the perplexity.",
        ),
    ],
)
def test_points_without_p_are_explained(given: Tensor, perplexity: float, message: str) -> None:
    with pytest.raises(EmbeddingError) as caught:
        affinities(given, perplexity)
    assert str(caught.value).startswith(message)


# the loss


def divergence_by_loops(y: Rows, P: Rows) -> float:
    """KL(P‖Q) of van der Maaten and Hinton's eqs. 4 and 5, pair after pair."""
    n = len(y)
    heavy = [
        [0.0 if k == i else 1 / (1 + math.dist(y[i], y[k]) ** 2) for k in range(n)]
        for i in range(n)
    ]
    total = sum(map(sum, heavy))
    return sum(
        P[i][j] * math.log(P[i][j] / (heavy[i][j] / total))
        for i in range(n)
        for j in range(n)
        if i != j
    )


def gradient_by_loops(y: Rows, P: Rows) -> Rows:
    """4 Σ_j (p_ij − q_ij) (y_i − y_j) / (1 + ‖y_i − y_j‖²), the papers' gradient."""
    n = len(y)
    heavy = [
        [0.0 if k == i else 1 / (1 + math.dist(y[i], y[k]) ** 2) for k in range(n)]
        for i in range(n)
    ]
    total = sum(map(sum, heavy))
    return [
        [
            sum(
                4 * (P[i][j] - heavy[i][j] / total) * (y[i][axis] - y[j][axis]) * heavy[i][j]
                for j in range(n)
            )
            for axis in range(2)
        ]
        for i in range(n)
    ]


def test_the_loss_and_its_gradient_are_the_paper_s() -> None:
    P = affinities(points(), 5.0)
    y = points(features=2).requires_grad_()
    loss = divergence(y, P)
    (gradient,) = torch.autograd.grad(loss, y)
    expected = divergence_by_loops(y.tolist(), P.tolist())
    # sums of 40 · 40 terms of both signs in float64
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-12)
    slope = torch.tensor(gradient_by_loops(y.tolist(), P.tolist()), dtype=torch.float64)
    assert torch.allclose(gradient, slope, rtol=1e-10, atol=1e-15)


def test_the_loss_is_zero_where_q_is_p_and_positive_elsewhere() -> None:
    y = points(12, features=2)
    heavy = (1 + torch.cdist(y, y).square()).reciprocal().fill_diagonal_(0)
    assert float(divergence(y, heavy / heavy.sum())) == pytest.approx(0, abs=1e-13)
    assert float(divergence(points(12, features=3)[:, 1:], heavy / heavy.sum())) > 0.01


# training


def test_training_is_the_same_for_the_same_seed_only() -> None:
    def coordinates(seed: int) -> Tensor:
        trained = encoder(seed)
        fit(trained, points(), SHORT, seed=seed)
        return trained(points()).detach()

    state = torch.get_rng_state()
    assert torch.equal(coordinates(3), coordinates(3))
    torch.set_rng_state(state)
    assert not torch.allclose(coordinates(3), coordinates(4), atol=1e-3)


def test_training_lowers_the_divergence_and_says_it() -> None:
    x, losses, trained = points(), [], encoder()
    P, schedule = affinities(x, 5.0), Schedule(perplexity=5.0, epochs=60, batch=100)
    before = float(divergence(trained(x), P).detach())
    state = torch.get_rng_state()
    after = fit(trained, x, schedule, seed=0, tick=losses.append)
    assert torch.equal(torch.get_rng_state(), state)
    assert after == pytest.approx(float(divergence(trained(x), P).detach()), rel=1e-12)
    assert after < 0.9 * before
    assert len(losses) == 60
    assert all(parameter.requires_grad for parameter in trained.parameters())


def test_a_batch_with_too_few_points_is_refused_before_training() -> None:
    trained = encoder()
    before = trained.head.weight.clone()
    with pytest.raises(EmbeddingError, match="and the 13 points that are embedded together"):
        fit(trained, points(), Schedule(perplexity=12.5, epochs=2, batch=14), seed=0)
    assert torch.equal(trained.head.weight, before)


def distances(y: Tensor) -> Tensor:
    return (y[:, None] - y).norm(dim=2)


def test_the_pose_changes_no_distance_and_is_the_principal_one() -> None:
    x, turned = points(), encoder()
    before = turned(x).detach()
    posed(turned, x)
    after = turned(x).detach()
    assert torch.allclose(distances(after), distances(before), rtol=1e-12)
    assert after.mean(0).abs().max() < 1e-14
    covariance = after.T @ after
    assert abs(covariance[0, 1]) < 1e-12 * covariance[0, 0]
    assert covariance[0, 0] > covariance[1, 1]
    assert (after.amax(0) >= -after.amin(0)).all()


# preservation


def trustworthiness_by_loops(x: Any, y: Any, k: int) -> float:
    """Venna and Kaski's measure from ranks, point after point."""
    n, penalty = len(x), 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        by_data = sorted(others, key=lambda j: math.dist(x[i], x[j]))
        by_map = sorted(others, key=lambda j: math.dist(y[i], y[j]))
        penalty += sum(max(0, by_data.index(j) + 1 - k) for j in by_map[:k])
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty


def test_preservation_is_the_papers_both_ways() -> None:
    x, y = points().numpy(), points(features=7)[:, 5:].numpy()
    found = preservation(x, y, 4)
    assert found.trustworthiness == pytest.approx(trustworthiness_by_loops(x, y, 4), rel=1e-12)
    assert found.continuity == pytest.approx(trustworthiness_by_loops(y, x, 4), rel=1e-12)
    assert preservation(x, 3 * x, 4) == (1.0, 1.0)


@pytest.mark.parametrize("neighbours", [0, 20])
def test_neighbours_without_a_rank_are_explained(neighbours: int) -> None:
    with pytest.raises(EmbeddingError) as caught:
        preservation(points().numpy(), points().numpy(), neighbours)
    assert str(caught.value) == (
        f"Expected from 1 to 19 neighbours, got {neighbours}: of 40 points less than half can "
        "be neighbours of each, or ranks mean nothing. Lower the neighbours, or give more "
        "points."
    )


def test_labels_are_voted_by_the_nearest_known() -> None:
    known, asked = np.array([[0.0], [1.0], [9.0]]), np.array([[0.4], [8.0], [5.1]])
    assert label_accuracy(known, np.array([0, 0, 1]), asked, np.array([0, 1, 0]), 1) == (
        pytest.approx(2 / 3)
    )


def test_smooth_encoders_are_trained_too() -> None:
    torch.manual_seed(0)
    smooth = Perceptron(5, widths=(8,), activation=nn.GELU).double()
    assert math.isfinite(fit(smooth, points(), SHORT, seed=0))
