"""Loadings, pairs and moves of encoders: complete, and exact inside their regions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from captum_ilin import RegionError
from comparisons.embedding import Loadings, Perceptron, loadings_of, move, pair_of
from comparisons.embedding.loadings import plane_overlap
from comparisons.embedding.measuring import held_out_loadings
from comparisons.models.tsne import ENCODERS, digit_points, restored

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("tsne_digits", "tsne_digits_gelu")


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return digit_points().test[:40]


@pytest.fixture(params=[(kind, seed) for kind in KINDS for seed in ENCODERS[kind].seeds])
def encoder(request: pytest.FixtureRequest) -> nn.Module:
    kind, seed = request.param
    return restored(ENCODERS[kind], seed)


@pytest.fixture
def piecewise() -> nn.Module:
    return restored(ENCODERS["tsne_digits"], 0)


def by_hand(encoder: Perceptron, x: Tensor) -> tuple[Tensor, Tensor]:
    """W and b of a ReLU encoder at one point: products of its matrices with rows struck out."""
    W, b = torch.eye(x.numel(), dtype=torch.float64), torch.zeros(x.numel()).double()
    for layer in (*encoder.layers, encoder.head):
        if isinstance(layer, nn.Linear):
            A, c = layer.weight.double(), layer.bias.double()
            W, b = A @ W, A @ b + c
        else:
            on = (W @ x.flatten().double() + b > 0).double()
            W, b = on[:, None] * W, on * b
    return W.detach(), b.detach()


def test_loadings_are_the_product_of_the_matrices_that_are_left(
    piecewise: Perceptron, digits: Tensor
) -> None:
    found = loadings_of(piecewise, digits[:8])
    for row, x in enumerate(digits[:8]):
        W, b = by_hand(piecewise, x)
        # float64 sums of 128 terms, three layers deep
        assert torch.allclose(found.weight[row].flatten(1), W, rtol=1e-10, atol=1e-11)
        assert torch.allclose(found.bias[row], b, rtol=1e-10, atol=1e-11)


def test_loadings_are_complete_with_the_encoder_s_own_coordinates(
    encoder: nn.Module, digits: Tensor
) -> None:
    before = copy.deepcopy(encoder.state_dict())
    found = loadings_of(encoder, digits)
    assert found.completeness_error <= 1e-12
    with torch.no_grad():
        single = encoder(digits).double()
    # the same encoder in float32, sums of 128 terms in three layers
    assert torch.allclose(found.coordinates, single, rtol=1e-4, atol=1e-3)
    told = torch.einsum("nkf,nf->nk", found.weight.flatten(2), digits.flatten(1).double())
    assert torch.allclose(told + found.bias, found.coordinates, rtol=1e-12, atol=1e-10)
    after = encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_wrong_loading_is_seen(encoder: nn.Module, digits: Tensor) -> None:
    found = loadings_of(encoder, digits)
    nudged = found.weight.clone()
    nudged[3, 1, 0, 4, 4] += 1e-4
    wrong = Loadings(found.points, nudged, found.bias, found.coordinates)
    assert float(digits[3, 0, 4, 4]) > 0.1
    assert wrong.completeness_error > 1e-8
    without = Loadings(found.points, found.weight, 0 * found.bias, found.coordinates)
    assert without.completeness_error > 0.1


def test_portions_give_the_same_loadings(piecewise: nn.Module, digits: Tensor) -> None:
    many = digits.repeat(7, 1, 1, 1)
    found, once = held_out_loadings(piecewise, many), loadings_of(piecewise, digits)
    assert found.weight.shape == (280, 2, 1, 8, 8)
    assert torch.allclose(found.weight[240:], once.weight, rtol=1e-12, atol=1e-13)


def test_pairs_are_complete_by_feature_and_along_the_line(
    encoder: nn.Module, digits: Tensor
) -> None:
    found = loadings_of(encoder, digits)
    for first, second in ((0, 1), (5, 30), (38, 2)):
        pair = pair_of(found, first, second)
        assert pair.completeness_error <= 1e-10
        W, x = found.weight, digits.double()
        expected = W[first] * x[first] - W[second] * x[second]
        assert torch.allclose(pair.contributions, expected, rtol=1e-12, atol=1e-13)
        parts = (pair.by_features, pair.by_loadings, pair.by_bias)
        along = sum(float(pair.along(part).sum()) for part in parts)
        assert along == pytest.approx(pair.distance, rel=1e-10)


def test_a_pair_that_shares_its_map_owes_all_to_its_features() -> None:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).double()
    x = torch.randn(2, 6, dtype=torch.float64)
    pair = pair_of(loadings_of(linear, x), 0, 1)
    assert not pair.by_loadings.any()
    assert not pair.by_bias.any()
    assert float(pair.along(pair.by_features).sum()) == pytest.approx(pair.distance, rel=1e-12)


@pytest.mark.parametrize("axis", [1, 2])
def test_moves_are_exact_inside_and_a_unit_flips_at_the_exit(
    piecewise: Perceptron, digits: Tensor, axis: int
) -> None:
    for row in range(10):
        x = digits[row : row + 1].double()
        W, _ = by_hand(piecewise, x)
        direction = W[axis - 1] / W[axis - 1].norm()
        found = move(piecewise, digits[row : row + 1], axis)
        # differences of coordinates of size 60, each rounded in sums of 128 terms
        assert found.inside <= 1e-12
        assert found.foretold == pytest.approx(found.step * float((W @ direction).norm()))
        inside, beyond = (
            by_hand(piecewise, x.flatten() + times * found.step * direction)
            for times in (0.999, 1.001)
        )
        assert torch.allclose(inside[0], W, rtol=1e-9, atol=1e-10)
        assert not torch.allclose(beyond[0], W, rtol=1e-9, atol=1e-10)


def test_moves_beyond_are_measured_on_the_encoder_itself(
    piecewise: Perceptron, digits: Tensor
) -> None:
    x, double = digits[4:5].double(), copy.deepcopy(piecewise).double()
    found = move(piecewise, digits[4:5], 2, beyond=(3.0,))
    W, _ = by_hand(piecewise, x)
    step = 3 * found.step * W[1] / W[1].norm()
    with torch.no_grad():
        went = double(x + step.reshape(1, 1, 8, 8)) - double(x)
    off = (went[0] - W @ step).norm() / (W @ step).norm()
    assert found.beyond[0] == pytest.approx(float(off), rel=1e-8)
    assert found.beyond[0] > 1e-4


def test_a_smooth_encoder_has_no_region_to_move_in(digits: Tensor) -> None:
    smooth = restored(ENCODERS["tsne_digits_gelu"], 0)
    with pytest.raises(RegionError, match="The network has no region, because gelu in"):
        move(smooth, digits[:1], 1)


def test_overlap_is_that_of_planes_however_they_are_spanned() -> None:
    torch.manual_seed(0)
    plane = torch.linalg.qr(torch.randn(9, 2).double()).Q.T
    mixed = torch.tensor([[2.0, 1.0], [0.5, -3.0]]).double() @ plane
    assert float(plane_overlap(mixed[None], plane)) == pytest.approx(1, rel=1e-12)
    drawn = torch.randn(4000, 2, 9, dtype=torch.float64)
    # 2/9 on average; its deviation is below 1/2, so that of 4,000 below 0.01
    assert float(plane_overlap(drawn, plane).mean()) == pytest.approx(2 / 9, abs=0.03)
