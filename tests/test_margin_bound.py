"""The margin of a region between two numbers: how often the lower one is wrong, by counting."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import MarginBound, Region, RegionError, linearize, marginbound
from captum_ilin.chisquare import chi_square_quantile
from tests.networks import ConvNet, relu_mlp, residual_convnet

ROUNDING = 1 + 1e-12


def misses(region: Region, seeds: int, **options: float) -> float:
    """How often, of ``seeds`` draws, the lower number is above the exact margin."""
    margin = region.margin().distance
    bounds = [
        region.margin_bound(candidates=0, seed=seed, **options).distance
        for seed in range(seeds)
    ]
    return sum(bound > margin * ROUNDING for bound in bounds) / seeds


def deviation(probability: float, count: int) -> float:
    """Five standard deviations of a frequency."""
    return 5 * math.sqrt(probability * (1 - probability) / count)


@pytest.mark.parametrize("degrees", [1, 2, 16, 32, 1000])
@pytest.mark.parametrize("probability", [1e-12, 8e-11, 1e-3, 0.2, 0.5, 0.999])
def test_the_quantile_is_that_of_scipy(probability: float, degrees: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.chi2.ppf(probability, degrees)
    assert chi_square_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def one_unit() -> Region:
    return linearize(lambda x: F.relu(x.sum(1)), torch.randn(1, 5).double()).region()


@pytest.mark.parametrize("confidence", [0.5, 0.8])
def test_of_one_unit_the_bound_is_wrong_as_often_as_it_says(confidence: float) -> None:
    region = one_unit()
    assert region.units == 1
    wrong = misses(region, 400, directions=3, confidence=confidence)
    assert abs(wrong - (1 - confidence)) < deviation(confidence, 400)


def test_counting_catches_a_quantile_that_is_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of χ², as if what was drawn were ‖∂h‖² itself."""
    monkeypatch.setattr(
        marginbound, "chi_square_quantile", lambda probability, degrees: degrees
    )
    wrong = misses(one_unit(), 400, directions=3, confidence=0.8)
    assert abs(wrong - 0.2) > deviation(0.2, 400)


@pytest.mark.parametrize("far", [1.0, 1.2, 3.0])
def test_of_many_units_it_is_wrong_no_more_often(far: float) -> None:
    x = torch.tensor([[1.0] + 30 * [far]]).double()
    region = linearize(F.relu, x).region()
    assert misses(region, 200, directions=3, confidence=0.8) < 0.2 + deviation(0.2, 200)


NETWORKS = {
    "perceptron": (lambda: relu_mlp(4, 8, 6, 3), (1, 4)),
    "two rows": (lambda: relu_mlp(4, 8, 6, 3), (2, 4)),
    "pooling": (ConvNet, (1, 3, 12, 12)),
    "in place": (residual_convnet, (1, 3, 12, 12)),
    "relu6": (
        lambda: nn.Sequential(nn.Linear(5, 9), nn.ReLU6(), nn.Linear(9, 2)).double(),
        (1, 5),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_where_all_in_question_are_measured_the_bound_is_the_margin(name: str) -> None:
    make, shape = NETWORKS[name]
    region = linearize(make().eval(), torch.randn(shape, dtype=torch.float64)).region()
    margin, bound = region.margin(), region.margin_bound()
    assert bound.distance == bound.at_most
    assert bound.at_most == pytest.approx(margin.distance, rel=1e-12)
    assert bound[3:] == margin[1:]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_margin_lies_between_the_numbers(name: str) -> None:
    make, shape = NETWORKS[name]
    region = linearize(make().eval(), torch.randn(shape, dtype=torch.float64)).region()
    margin = region.margin().distance
    for seed in range(20):
        bound = region.margin_bound(candidates=1, seed=seed)
        assert bound.distance <= margin * ROUNDING
        assert margin <= bound.at_most * ROUNDING


def test_more_directions_bound_closer() -> None:
    region = linearize(relu_mlp(4, 8, 3), torch.randn(1, 4).double()).region()
    few, many = (region.margin_bound(directions=k, candidates=0).distance for k in (4, 256))
    assert few < many <= region.margin().distance
    assert many > 0.7 * region.margin().distance


def test_without_candidates_nothing_is_known_from_above() -> None:
    bound = linearize(F.relu, torch.ones(1, 2)).region().margin_bound(candidates=0)
    assert bound.at_most == math.inf
    assert bound.op == ""
    assert 0 < bound.distance < 1


def test_an_affine_network_has_no_boundary() -> None:
    region = linearize(nn.Linear(3, 2), torch.ones(1, 3)).region()
    assert region.margin_bound() == MarginBound(math.inf, math.inf, 0.999999)


def test_a_unit_at_its_kink_leaves_no_margin() -> None:
    bound = linearize(F.relu, torch.tensor([[0.0, 1.0]])).region().margin_bound()
    assert bound[:2] == (0.0, 0.0)
    assert bound.unit == (0, 0)


def test_a_unit_that_does_not_move_bounds_nothing() -> None:
    bound = linearize(lambda x: F.relu(x * torch.tensor([0.0, 1.0])), torch.ones(1, 2))
    assert bound.region().margin_bound().unit == (0, 1)


def test_directions_are_the_seed_s_own() -> None:
    region = linearize(relu_mlp(4, 8, 3), torch.randn(1, 4).double()).region()
    before = torch.get_rng_state()
    first, again, other = (region.margin_bound(candidates=0, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again
    assert first.distance != other.distance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": 0}, "directions is 0; expected at least 1."),
        ({"candidates": -1}, "candidates is -1; expected at least 0."),
        (
            {"confidence": 1.0},
            "confidence is 1.0; expected a number between 0 and 1, such as 0.999, because "
            "directions drawn by chance never give certainty. For that call margin().",
        ),
    ],
)
def test_numbers_out_of_range(options: dict[str, float], message: str) -> None:
    region = linearize(F.relu, torch.ones(1, 2)).region()
    with pytest.raises(RegionError) as error:
        region.margin_bound(**options)
    assert str(error.value) == message


def test_rows_out_of_range() -> None:
    with pytest.raises(RegionError, match=r"^rows is 0; expected at least 1\.$"):
        linearize(F.relu, torch.ones(1, 2)).region().margin(rows=0)


def test_the_network_is_untouched() -> None:
    network, x = ConvNet().eval(), torch.randn(1, 3, 12, 12).double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    linearize(network, x).region().margin_bound()
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    assert not any(isinstance(p.grad, Tensor) for p in network.parameters())
