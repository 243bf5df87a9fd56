"""Angles, norms and margins against slow definitions, and distances against searches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

from captum_ilin import linearize
from captum_ilin.companions.geometry import (
    FeatureGeometry,
    InputGeometry,
    compare,
    feature_geometry,
    input_geometry,
    local_boundary,
)
from tests.fingerprint import untouched

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASSES = 4


class Small(nn.Module):
    """ReLU network of two layers; its head is not the last module that is declared."""

    def __init__(self, units: int = 7, features: int = 5) -> None:
        super().__init__()
        self.readout = nn.Linear(units, CLASSES)
        self.body = nn.Linear(features, units)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.body(x).relu())
        return logits


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(3)
    return Small().double().eval()


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    return torch.randn(40, 5).double(), torch.randint(CLASSES, (40,))


def test_metrics_are_the_paper_s_written_out(model: Any, data: tuple[Tensor, Tensor]) -> None:
    found = feature_geometry(model, data)
    weight, bias = (p.detach().numpy() for p in (model.readout.weight, model.readout.bias))
    for n, x in enumerate(data[0]):
        f = np.maximum(
            model.body.weight.detach().numpy() @ x.numpy() + model.body.bias.detach().numpy(), 0
        )
        z = [math.fsum(weight[i] * f) + bias[i] for i in range(CLASSES)]
        size = math.sqrt(math.fsum(f * f))
        assert found.norms[n] == pytest.approx(size, rel=1e-13)
        for i in range(CLASSES):
            cosine = math.fsum(weight[i] * f) / size / math.sqrt(math.fsum(weight[i] ** 2))
            assert found.angles[n, i] == pytest.approx(math.acos(cosine), rel=1e-12)
            distances = {
                j: abs(z[i] - z[j]) / math.sqrt(math.fsum((weight[i] - weight[j]) ** 2))
                for j in range(CLASSES)
                if j != i
            }
            rival = min(distances, key=distances.__getitem__)
            sign = 1 if z[i] == max(z) else -1
            assert found.margins[n, i] == pytest.approx(sign * distances[rival], rel=1e-11)
            assert found.rivals[n, i] == rival


def test_the_metrics_add_up_to_the_cross_entropy(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    x, labels = data
    found = feature_geometry(model, (30 * x, labels))
    with torch.no_grad():
        outputs = model(30 * x)
    expected = F.cross_entropy(outputs, labels, reduction="none")
    assert float(expected.max()) > 20
    torch.testing.assert_close(found.cross_entropy, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.logits, outputs, rtol=1e-12, atol=1e-12)
    # and a specimen that the test must catch: the bias of the head left out
    broken = found.logits - found.head_bias
    off = broken.logsumexp(1) - broken.gather(1, labels[:, None])[:, 0] - expected
    assert float(off.abs().max()) > 1e-3


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_loaders_datasets_and_tensors_read_alike(
    model: nn.Module, data: tuple[Tensor, Tensor], batch_size: int
) -> None:
    whole = feature_geometry(model, data)
    for given in (TensorDataset(*data), DataLoader(TensorDataset(*data), batch_size)):
        with untouched(model, *data):
            found = feature_geometry(model, given, batch_size=batch_size)
        torch.testing.assert_close(found.margins, whole.margins, rtol=1e-12, atol=1e-13)
        assert torch.equal(found.labels, data[1])
        assert found.head == "readout"


def test_a_head_without_bias_float32_and_a_named_head() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3, bias=False))
    x, labels = torch.randn(9, 5), torch.randint(3, (9,))
    found = feature_geometry(model, (x, labels), head="2")
    assert not found.head_bias.any()
    assert found.angles.dtype == torch.float64
    torch.testing.assert_close(found.logits.float(), model(x), rtol=1e-5, atol=1e-6)
    assert found.head_residual < 1e-6


def test_the_progress_bar_can_be_had(
    model: nn.Module, data: tuple[Tensor, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    feature_geometry(model, data)
    assert capsys.readouterr().err == ""
    feature_geometry(model, data, show_progress=True)
    input_geometry(model, (data[0][:2], data[1][:2]), show_progress=True)
    written = capsys.readouterr().err
    assert "features: 100%" in written
    assert "inputs: 100%" in written


# --- the input space


def smalls(count: int = 30) -> Iterator[tuple[Any, Tensor]]:
    for seed in range(count):
        torch.manual_seed(seed)
        yield Small(units=4, features=3).double().eval(), torch.randn(1, 3).double()


def crossing(model: nn.Module, x: Tensor, step: Tensor, times: float = 1.5) -> float:
    """The first multiple of a step at which the real network predicts another class."""
    own = int(model(x).argmax())

    def has_changed(t: float) -> bool:
        return int(model(x + t * step).argmax()) != own

    grid = np.linspace(0, times, 3001)
    after = next((t for t in grid if has_changed(t)), None)
    if after is None:
        return math.inf
    low, high = after - grid[1], after
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if has_changed(middle) else (middle, high)
    return float(high)


def test_inside_the_region_the_real_network_changes_its_prediction_at_just_the_margin() -> None:
    inside = 0
    for model, x in smalls():
        found = local_boundary(linearize(model, x))
        if not found.is_inside:
            continue
        inside += 1
        step = found.direction
        assert isinstance(step, Tensor)
        assert float(step.norm()) == pytest.approx(found.distance, rel=1e-12)
        reached = crossing(model, x, step)
        assert reached == pytest.approx(1, rel=1e-9)
        # a specimen that this must catch: the distance between features
        features = feature_geometry(model, (x, torch.tensor([found.predicted])))
        assert float(features.margin) != pytest.approx(found.distance, rel=1e-3)
        # on the boundary the two classes tie, and go apart beyond it
        logits = model(x + step)[0].detach()
        assert float(logits[found.predicted]) == pytest.approx(
            float(logits[found.rival]), abs=1e-12
        )
    assert inside >= 8


def test_no_boundary_point_of_the_region_is_nearer() -> None:
    """Constrained optimisation over the region, whose inequalities are written out by hand."""
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    compared = 0
    for model, x in smalls():
        found = local_boundary(linearize(model, x))
        if not found.is_inside:
            continue
        nearest = min(
            _projected(optimize, model, x[0].numpy(), found.predicted, rival)
            for rival in range(CLASSES)
            if rival != found.predicted
        )
        assert nearest == pytest.approx(found.distance, rel=1e-6)
        compared += 1
    assert compared >= 8


def _projected(optimize: Any, model: Any, x: Any, own: int, rival: int) -> float:
    """The least ‖d‖ with x + d in the region's closure and the network's logits equal there."""
    body, bias, head, constants = (p.detach().numpy() for p in _parameters(model))
    sides = np.where(body @ x + bias > 0, 1.0, -1.0)
    row, constant = head[own] - head[rival], constants[own] - constants[rival]

    def gap(d: Any) -> float:  # the network itself, ReLU and all
        return float(row @ np.maximum(body @ (x + d) + bias, 0) + constant)

    best = math.inf
    for seed in range(3):
        solved = optimize.minimize(
            lambda d: float(d @ d),
            np.random.default_rng(seed).normal(size=x.shape) * 0.3,
            jac=lambda d: 2 * d,
            constraints=[
                {"type": "eq", "fun": gap},
                {
                    "type": "ineq",
                    "fun": lambda d: sides * (body @ (x + d) + bias),
                    "jac": lambda _: sides[:, None] * body,
                },
            ],
            method="SLSQP",
            options={"maxiter": 200, "ftol": 1e-14},
        )
        is_in = bool((sides * (body @ (x + solved.x) + bias) >= -1e-8).all())
        if is_in and abs(gap(solved.x)) < 1e-8:
            best = min(best, float(np.linalg.norm(solved.x)))
    return best


def _parameters(model: Any) -> tuple[Tensor, ...]:
    return model.body.weight, model.body.bias, model.readout.weight, model.readout.bias


def test_where_the_region_ends_first_it_says_so_and_a_unit_flips_just_there() -> None:
    outside = 0
    for model, x in smalls():
        found = local_boundary(linearize(model, x))
        if found.is_inside or found.distance == math.inf:
            assert "region ends first" not in str(found)
            continue
        outside += 1
        assert str(found).startswith("the region ends first, ")
        assert f"{found.exit:.4g} away at relu; beyond" in str(found)
        assert found.exit_unit == "relu"
        assert found.upper_bound == math.inf
        step = found.direction
        assert isinstance(step, Tensor)
        before = model.body(x)[0] > 0
        at = found.exit / found.distance
        short, far = (model.body(x + t * at * step)[0] > 0 for t in (1 - 1e-9, 1 + 1e-9))
        assert torch.equal(short, before)
        assert not torch.equal(far, before)
    assert outside >= 8


def test_no_step_below_the_lower_bound_changes_the_prediction() -> None:
    certified = 0
    for model, x in smalls():
        found = local_boundary(linearize(model, x))
        units = model.body(x)[0].detach().abs() / model.body.weight.detach().norm(dim=1)
        assert found.radius == pytest.approx(float(units.min()), rel=1e-12)
        assert found.lower_bound == min(found.radius, found.distance)
        directions = F.normalize(torch.randn(2000, 3).double(), dim=1)
        at = model(x + (1 - 1e-9) * found.lower_bound * directions).argmax(1)
        assert bool((at == found.predicted).all())
        if found.is_certified:
            certified += 1
            assert str(found).endswith("certified: no boundary is nearer")
            assert found.is_inside
            step = found.direction
            assert isinstance(step, Tensor)
            assert int(model(x + (1 + 1e-9) * step).argmax()) != found.predicted
    assert certified >= 3


def test_a_linear_model_is_certified_and_its_two_spaces_are_one() -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, CLASSES).double()
    x, labels = torch.randn(8, 6).double(), torch.randint(CLASSES, (8,))
    features, inputs = feature_geometry(model, (x, labels)), input_geometry(model, (x, labels))
    assert bool(inputs.is_certified.all())
    assert bool(torch.isinf(inputs.radii).all())
    for name in ("angles", "norms", "logits", "confidence", "predictions"):
        torch.testing.assert_close(getattr(features, name), getattr(inputs, name))
    right = inputs.is_correct
    torch.testing.assert_close(features.margin[right], inputs.margin[right])
    assert bool((inputs.margin[~right] < 0).all())


def test_input_metrics_are_those_of_w_and_b(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    x, labels = data[0][:6], data[1][:6]
    with untouched(model, x, labels):
        found = input_geometry(model, (x, labels), reach="margin")
    jacobian = torch.func.vmap(torch.func.jacrev(model))(x).detach()  # W, for a ReLU network
    torch.testing.assert_close(found.row_norms, jacobian.norm(dim=2))
    torch.testing.assert_close(found.biases, model(x) - (jacobian * x[:, None]).sum(2))
    cosines = F.cosine_similarity(jacobian, x[:, None], dim=2)
    torch.testing.assert_close(found.angles, cosines.acos())
    for n, (own, z) in enumerate(
        zip(found.predictions.tolist(), model(x).detach(), strict=True)
    ):
        each = [
            float((z[own] - z[j]) / (jacobian[n, own] - jacobian[n, j]).norm())
            for j in range(CLASSES)
            if j != own
        ]
        assert float(found.distances[n]) == pytest.approx(min(each), rel=1e-12)
    assert found.completeness_error < 1e-13
    assert torch.equal(found.margin > 0, found.is_correct)
    assert bool((found.lower_bounds <= found.distances).all())


def test_where_every_class_has_the_same_row_there_is_no_boundary() -> None:
    torch.manual_seed(0)
    dead = Small(units=4, features=3).double().eval()
    nn.init.constant_(dead.body.bias, -50.0)
    x = torch.randn(2, 3).double()
    found = local_boundary(linearize(dead, x[:1]))
    assert found.distance == found.upper_bound == math.inf
    assert not found.is_inside
    assert not found.is_certified
    assert 0 < found.lower_bound == found.radius < math.inf
    assert "no boundary, for every class has the same row of W" in str(found)
    inputs = input_geometry(dead, (x, torch.tensor([0, 1])), reach="margin")
    assert bool(torch.isnan(inputs.angles).all())
    assert not bool(inputs.is_inside.any())


def test_two_inputs_are_one_space() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = Small()

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            logits: Tensor = self.both(torch.cat([a, b], 1))
            return logits

    torch.manual_seed(1)
    two = Two().double().eval()
    x, labels = torch.randn(4, 5).double(), torch.randint(CLASSES, (4,))
    split = input_geometry(two, (x[:, :2], x[:, 2:], labels), reach="margin")
    whole = input_geometry(two.both, (x, labels), reach="margin")
    for name in ("distances", "exits", "radii", "angles", "norms"):
        torch.testing.assert_close(getattr(split, name), getattr(whole, name))
    boundary = local_boundary(linearize(two, (x[:1, :2], x[:1, 2:])))
    assert [part.shape for part in boundary.direction] == [(1, 2), (1, 3)]


def test_a_smooth_network_has_the_margin_of_its_map_alone() -> None:
    torch.manual_seed(0)
    smooth = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 3)).double()
    x, labels = torch.randn(3, 3).double(), torch.randint(3, (3,))
    found = input_geometry(smooth, (x, labels), reach=None)
    assert bool(torch.isnan(found.exits).all() & torch.isnan(found.lower_bounds).all())
    assert not bool(found.is_inside.any() | found.is_certified.any())
    text = str(local_boundary(linearize(smooth, x[:1]), reach=None))
    assert text.endswith("as far as the map holds")


def test_the_probable_radius_is_the_exact_one_where_all_is_measured() -> None:
    for model, x in smalls(4):
        affine_map = linearize(model, x)
        exact, bound = (local_boundary(affine_map, reach=r) for r in ("margin", "margin_bound"))
        assert bound.radius == pytest.approx(exact.radius, rel=1e-9)
        exits = local_boundary(affine_map, reach="exit")
        assert exits.exit == exact.exit
        assert math.isnan(exits.radius)
        assert math.isnan(exits.lower_bound)


# --- comparisons


def test_a_shift_is_told_by_quantiles_wasserstein_and_each_example(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    x, _ = data
    before, after = (
        feature_geometry(model, (x + shift, model(x).argmax(1))) for shift in (0.0, 0.4)
    )
    shift = compare(before, after)
    for metric in ("angle", "norm", "margin"):
        one, other = getattr(before, metric), getattr(after, metric)
        assert torch.equal(shift.change(metric), other - one)
        # of equally many values it is the mean distance of those of the same rank
        expected = float((one.sort().values - other.sort().values).abs().mean())
        assert expected > 1e-3
        assert shift.wasserstein(metric) == pytest.approx(expected, rel=1e-12)
        assert compare(before, before).wasserstein(metric) == 0
        ends = shift.quantiles(metric, [0, 1])
        assert [list(map(float, end)) for end in ends] == [
            [float(values.min()), float(values.max())] for values in (one, other)
        ]
    assert bool(before.is_correct.all())
    assert torch.equal(shift.has_failed, after.margin < 0)
    assert 0 < int(shift.has_failed.sum()) < len(x)


def test_fragile_examples_were_right_and_have_the_least_left(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    before = feature_geometry(model, data)
    after = feature_geometry(model, (data[0] + 0.4, data[1]))
    shift = compare(before, after)
    right = [n for n in range(40) if before.margin[n] > 0]
    assert 5 < len(right) < 35
    least = sorted(right, key=lambda n: float(after.margin[n]))
    most = sorted(right, key=lambda n: float(after.margin[n] - before.margin[n]))
    assert shift.fragile(5).indices.tolist() == least[:5]
    assert shift.fragile(99, by="change").indices.tolist() == most
    found = shift.fragile(3)
    assert torch.equal(found.before, before.margin[found.indices])
    assert torch.equal(found.after, after.margin[found.indices])


def test_a_network_and_its_pruned_copy_in_both_spaces(data: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(5)
    original, pruned = Small(units=20).double().eval(), Small(units=20).double().eval()
    pruned.load_state_dict(original.state_dict())
    prune.global_unstructured(
        [(pruned.body, "weight"), (pruned.readout, "weight")],
        pruning_method=prune.L1Unstructured,
        amount=0.5,
    )
    few = data[0][:5], data[1][:5]
    kept = {name: value.clone() for name, value in pruned.state_dict().items()}
    features = compare(feature_geometry(original, few), feature_geometry(pruned, few))
    inputs = compare(input_geometry(original, few), input_geometry(pruned, few))
    assert prune.is_pruned(pruned.readout)
    assert all(torch.equal(kept[name], value) for name, value in pruned.state_dict().items())
    assert isinstance(features.before, FeatureGeometry)
    assert isinstance(inputs.after, InputGeometry)
    torch.testing.assert_close(features.after.logits, pruned(few[0]))
    torch.testing.assert_close(inputs.after.logits, pruned(few[0]))
    assert not inputs.change("norm").any()
    assert bool(features.change("norm").all())
