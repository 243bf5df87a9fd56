"""Networks built from formulas: solvers, splines, rendering, quantisation, mixtures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.exactness import check_network

WIDTH = 4


def points() -> Tensor:
    return torch.randn(3, WIDTH, dtype=torch.float64)


class RungeKutta(nn.Module):
    """A neural ODE by four fixed steps of RK4 (Chen et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        step = 0.25
        for _ in range(4):
            k1 = self.field(x)
            k2 = self.field(x + step / 2 * k1)
            k3 = self.field(x + step / 2 * k2)
            k4 = self.field(x + step * k3)
            x = x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x


class Splines(nn.Module):
    """A KAN-like layer (Liu et al. 2024): B-splines of order one and two on a fixed grid."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("grid", torch.linspace(-3, 3, 8, dtype=torch.float64))
        self.scale, self.base = nn.Parameter(torch.randn(3, 4, 5)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        grid, z = self.grid, x.unsqueeze(-1)
        bases = ((z >= grid[:-1]) & (z < grid[1:])).to(x.dtype)
        for k in (1, 2):
            left = (z - grid[: -(k + 1)]) / (grid[k:-1] - grid[: -(k + 1)]) * bases[..., :-1]
            right = (grid[k + 1 :] - z) / (grid[k + 1 :] - grid[1:-k]) * bases[..., 1:]
            bases = left + right
        return torch.einsum("bif,oif->bo", bases, self.scale) + self.base(F.silu(x))


class FourierFeatures(nn.Module):
    """cos and sin of fixed projections (Tancik et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(4, 5))
        self.head = nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        phase = 2 * torch.pi * x @ self.frequencies
        return self.head(torch.cat([phase.cos(), phase.sin()], -1))


class Rendering(nn.Module):
    """Volume rendering (Mildenhall et al. 2020): colours weighed by transmittance."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        colour, density = self.field(x.unsqueeze(2)).split([3, 1], 2)
        alpha = 1 - torch.exp(-F.softplus(density) * 0.5)
        clear = torch.cumprod(
            torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], 1), 1
        )
        return (alpha * clear[:, :-1] * torch.sigmoid(colour)).sum(1)


class Quantized(nn.Module):
    """Vector quantisation (van den Oord et al. 2017), straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.codes, self.out = nn.Embedding(6, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        distances = x.square().sum(1, keepdim=True) - 2 * x @ self.codes.weight.T
        nearest = self.codes((distances + self.codes.weight.square().sum(1)).argmin(1))
        return self.out(x + (nearest - x).detach())


class Sinkhorn(nn.Module):
    """Sinkhorn normalisation in the log domain (Cuturi 2013)."""

    def forward(self, x: Tensor) -> Tensor:
        scores = x.unsqueeze(1) * x.unsqueeze(2) / 2 + x.unsqueeze(1)
        for _ in range(3):
            scores = scores - scores.logsumexp(1, keepdim=True)
            scores = scores - torch.logsumexp(scores, 2, keepdim=True)
        return (scores.exp() @ x.unsqueeze(2)).squeeze(2)


class MixtureDensity(nn.Module):
    """Log density of a Gaussian mixture at one point (Bishop 1994)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 9))

    def forward(self, x: Tensor) -> Tensor:
        share, mean, scale = self.body(x).chunk(3, 1)
        scale = F.softplus(scale) + 1e-3
        density = -0.5 * ((0.3 - mean) / scale) ** 2 - scale.log()
        return torch.logsumexp(F.log_softmax(share, 1) + density, 1, keepdim=True)


class Solver(nn.Module):
    """Linear algebra whose matrices are constants."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, 4) / 4 + 2 * torch.eye(4))

    def forward(self, x: Tensor) -> Tensor:
        a = self.matrix
        factor = torch.linalg.cholesky(a @ a.mT)
        columns = x.mT
        return torch.cat(
            [
                torch.linalg.solve(a, columns).mT,
                torch.linalg.lstsq(a, columns).solution.mT,
                torch.cholesky_solve(columns, factor).mT,
                torch.linalg.solve_triangular(factor, columns, upper=False).mT,
                x @ torch.linalg.pinv(a[:, :3]).mT,
                x @ torch.matrix_exp(a - a.mT),
                x @ torch.linalg.qr(a).Q,
                torch.linalg.solve_ex(a, columns).result.mT,
            ],
            1,
        )


class Ensemble(nn.Module):
    """Several heads at once: stacked weights by vmap, baddbmm and einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.randn(3, 4, 2)),
            nn.Parameter(torch.randn(3, 1, 2)),
        )

    def forward(self, x: Tensor) -> Tensor:
        heads = torch.baddbmm(self.bias, x.expand(3, -1, -1), self.weight)
        heads = heads + torch.einsum("bi,nio->nbo", F.relu(x), self.weight)
        return heads.mean(0) + heads.std(0)


class Distances(nn.Module):
    """Prototypes and kernels: distances to constants."""

    def __init__(self) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Tensor) -> Tensor:
        far = torch.cdist(x, self.prototypes)
        alike = F.cosine_similarity(x.unsqueeze(1), self.prototypes, dim=2)
        return torch.cat([torch.exp(-far.square() / 4), alike, torch.log1p(far)], 1)


class Search(nn.Module):
    """Choices by value: top-k, sort, where, bucketize, and a table looked up by them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        top, at = x.topk(2, 1)
        rank = torch.bucketize(x, torch.linspace(-2, 2, 5, dtype=x.dtype))
        mixed = torch.where(x > x.mean(1, keepdim=True), x * 2, x.sort(1).values - 1)
        picked = self.table[at].sum(1) * x + self.table.gather(0, rank)
        return torch.cat([top, mixed, picked, x.masked_fill(x < 0, 0.1)], 1)


NETWORKS = [
    *(RungeKutta, Splines, FourierFeatures, Rendering, Quantized, Sinkhorn, MixtureDensity),
    *(Solver, Ensemble, Distances, Search),
]
PIECEWISE = Quantized, Solver, Search


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_formula_networks(network: type[nn.Module]) -> None:
    check_network(network().double().eval(), points(), piecewise=network in PIECEWISE)


def test_straight_through_is_the_head_of_the_input() -> None:
    network, x = Quantized().double(), points()
    affine_map = check_network(network, x)
    assert torch.allclose(affine_map.weight(), network.out.weight.expand(3, 2, 4), atol=1e-15)
    with torch.no_grad():
        expected = network(x) - x @ network.out.weight.T
    assert torch.allclose(affine_map.bias(), expected, atol=1e-14)
