"""The registry of methods: what each gives, what it claims, and what it leaves behind."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import linearize
from comparisons.measures import MEASURES
from comparisons.measures.measure import Case
from comparisons.methods import METHODS, Setting
from comparisons.methods.controls import sobel
from comparisons.methods.fullgrad import laid_onto
from comparisons.methods.ilin import TABLES
from comparisons.methods.unchanged import unchanged
from comparisons.models import MODELS
from tests.fingerprint import untouched

if TYPE_CHECKING:
    from comparisons.models import Network

NETWORKS = {name: MODELS[name].first() for name in ("digits_cnn", "digits_vit")}
REFUSES = {("digits_vit", "LRP")}  # it has no rule for multi-head attention
COMPLETE = (
    *("ILIN", "ILIN-tangent", "ILIN-attnlrp", "ILIN-split", "ILIN-reference"),
    *("ILIN-baseline", "ILIN-tangent-baseline", "FullGrad"),
)

each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
each_method = pytest.mark.parametrize("name", METHODS)


def _explained(
    name: str, network: Network, example: int = 0, baseline: Tensor | None = None
) -> tuple[Tensor, float, float | None]:
    """Attributions, F(x), and what the method declares beside the sum."""
    inputs, target = network.inputs[example : example + 1], int(network.targets[example])
    setting = Setting(torch.zeros_like(inputs) if baseline is None else baseline)
    found = METHODS[name].make(setting)(network.model).attribute(inputs, target=target)
    offset = METHODS[name].offset
    declared = offset and float(offset(network.model, inputs, target, setting))
    with torch.no_grad():
        return found, float(network.model(inputs)[0, target]), declared


def _declared_error(name: str, network: Network, baseline: Tensor | None = None) -> float:
    found, value, declared = _explained(name, network, baseline=baseline)
    assert declared is not None
    return abs(float(found.double().sum()) + declared - value)


@each_method
@each_network
def test_attributions_are_finite_and_nothing_is_left_behind(
    network: Network, name: str
) -> None:
    network.model(network.inputs[:1])  # what a first forward pass keeps is not the method's
    numpy_state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    with untouched(network.model, network.inputs):
        if (network.name, name) in REFUSES:
            with pytest.raises(TypeError, match="has no rule defined"):
                _explained(name, network)
        else:
            found, _, _ = _explained(name, network)
            assert found.shape == network.inputs[:1].shape
            assert found.isfinite().all()
            assert not found.requires_grad
    assert np.random.get_state()[1].tolist() == numpy_state  # type: ignore[union-attr]


@each_method
@each_network
def test_a_batch_is_its_examples(network: Network, name: str) -> None:
    if (network.name, name) in REFUSES:
        pytest.skip("refused, see above")
    if name == "random":
        pytest.skip("fresh noise at every call")
    inputs, targets = network.inputs[:3], network.targets[:3]
    setting = Setting(torch.zeros_like(inputs[:1]))
    found = METHODS[name].make(setting)(network.model).attribute(inputs, target=targets)
    alone = torch.cat([_explained(name, network, example)[0] for example in range(3)])
    assert torch.allclose(found, alone, atol=1e-4 * float(alone.abs().max()))


@pytest.mark.parametrize("name", COMPLETE)
@each_network
def test_exact_methods_add_up_as_declared(network: Network, name: str) -> None:
    """A float32 sum of 64 terms near 10: some tens of units in the last place."""
    baseline = torch.rand_like(network.inputs[:1])
    assert _declared_error(name, network, baseline) < 64 * 10 * torch.finfo().eps


@each_network
def test_integrated_gradients_add_up_better_with_steps(network: Network) -> None:
    errors = [_declared_error(f"IG-{steps}", network) for steps in (10, 50, 200)]
    assert errors[0] > errors[2]
    assert errors[2] < 0.02


def test_what_is_not_claimed_is_not_declared() -> None:
    unclaimed = {name for name, method in METHODS.items() if method.offset is None}
    assert unclaimed == {
        *("Saliency", "Gradient", "SmoothGrad", "GuidedBackprop", "Deconvolution"),
        *("Occlusion", "random", "input_only", "constant"),
    }


@each_method
def test_flags_are_the_explainers_own(name: str) -> None:
    network = NETWORKS["digits_cnn"]
    explainer = METHODS[name].make(network.setting(0, 0))(network.model)
    assert explainer.multiplies_by_inputs == METHODS[name].is_contribution


def test_on_relu_networks_ilin_input_x_gradient_and_lrp_agree() -> None:
    network = NETWORKS["digits_cnn"]
    ilin, *others = (_explained(name, network)[0] for name in ("ILIN", "InputXGradient", "LRP"))
    for other in others:
        assert torch.allclose(ilin, other, atol=1e-5)


def test_the_table_between_two_points_adds_up_to_the_difference_from_the_baseline() -> None:
    network = NETWORKS["digits_vit"]
    inputs, target = network.inputs[:1].double(), int(network.targets[0])
    model = copy.deepcopy(network.model).double()
    baseline = torch.rand_like(inputs)
    method = METHODS["ILIN-reference"]
    found = method.make(Setting(baseline))(model).attribute(inputs, target=target)
    with torch.no_grad():
        before, value = (float(model(point)[0, target]) for point in (baseline, inputs))
    assert float(found.sum()) == pytest.approx(value - before, rel=1e-9)
    assert method.offset is not None
    declared = method.offset(model, inputs, target, Setting(baseline))
    assert float(declared) == before


def test_on_a_transformer_no_two_tables_agree() -> None:
    names = COMPLETE[:5]
    found = {name: _explained(name, NETWORKS["digits_vit"])[0] for name in names}
    for one, other in itertools.combinations(names, 2):
        difference = (found[one] - found[other]).abs().max()
        assert difference > 0.01 * found[one].abs().max(), (one, other)


@pytest.mark.parametrize("name", TABLES)
def test_local_fidelity_is_measured_under_the_table_of_the_method(name: str) -> None:
    (method,) = (m for m in METHODS.values() if dict(m.parameters) == {"rules": name})
    case = Case(NETWORKS["digits_cnn"], method, 0, 0)
    values = MEASURES["local_fidelity"].run(case, radius=1e-3, samples=2)
    (error,) = (value.value for value in values if value.quantity == "error")
    assert error < 64 * 10 * torch.finfo().eps


def test_full_grad_is_not_input_x_gradient() -> None:
    assert _declared_error("InputXGradient", NETWORKS["digits_cnn"]) > 0.1


CONVOLUTIONS = {(8, 4): (2, 2, 0), (8, 8): (1, 1, 0), (6, 9): (2, 1, 2), (7, 3): (3, 2, 0)}


@pytest.mark.parametrize(("side", "of"), CONVOLUTIONS)
def test_a_constant_lies_where_it_entered(side: int, of: int) -> None:
    kernel, stride, padding = CONVOLUTIONS[side, of]
    conv = nn.Conv2d(2, 3, kernel, stride, padding).double()
    nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.bias.copy_(torch.tensor([1.0, 2.0, -0.5]))

    def corner(image: Tensor) -> Tensor:
        cells = conv(image)
        assert cells.shape == (1, 3, of, of)
        return cells[:, :, 0, -1].sum(1)

    image = torch.zeros(1, 2, side, side, dtype=torch.float64)
    found = sum(laid_onto(image, linearize(corner, image).bias_ledger()))
    assert found.shape == (1, 2, side, side)
    assert float(found.sum()) == pytest.approx(2.5, rel=1e-12)
    reached = -(-side // of)  # pixels that one stretch touches, rounded up
    assert float(found[:, :, :reached, -reached:].sum()) == pytest.approx(2.5, rel=1e-12)


@pytest.mark.parametrize(
    "model",
    [lambda x: x.softmax(3)[:, 0, 0, 0], lambda x: F.linear(x.flatten(1), ONES, ONES[:, 0])],
    ids=["softmax of four dimensions", "linear"],
)
def test_a_constant_without_a_place_is_spread_evenly(model: Any) -> None:
    affine_map = linearize(model, torch.tensor([[[[1.0, 2.0], [0.0, 0.5]]]]))
    (found,) = laid_onto(affine_map.inputs, affine_map.bias_ledger())
    assert affine_map.bias() > 0.1
    assert torch.allclose(found, affine_map.bias() / 4)


ONES = torch.ones(1, 4)


def test_full_grad_keeps_the_place_of_a_convolution_bias() -> None:
    """A ReLU that is on in the left half only: its bias belongs there."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 1))
    with torch.no_grad():
        model[0].weight.fill_(1.0), model[0].bias.fill_(-0.5)
        model[3].weight.fill_(1.0), model[3].bias.fill_(0.0)
    image = torch.zeros(1, 1, 4, 4)
    image[..., :2] = 1.0
    found = METHODS["FullGrad"].make(Setting(image))(model).attribute(image, target=0)
    expected = torch.zeros(1, 1, 4, 4)
    expected[..., :2] = 1.0 - 0.5
    assert torch.allclose(found, expected)
    ledger = linearize(model, image).bias_ledger(0)
    assert float(sum(term.sum() for term in ledger.values())) == pytest.approx(-4.0)


def test_random_is_fresh_at_every_call_and_the_same_in_every_run() -> None:
    network = NETWORKS["digits_cnn"]
    inputs = network.inputs[:1]

    def maps(seed: int) -> list[Tensor]:
        explain = METHODS["random"].make(Setting(inputs, seed=seed))
        return [explain(network.model).attribute(inputs, target=0) for _ in range(2)]

    first, again, other = maps(0), maps(0), maps(1)
    assert not torch.equal(first[0], first[1])
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("name", ["input_only", "constant"])
def test_blind_controls_do_not_see_the_model(name: str) -> None:
    cnn, vit = NETWORKS.values()
    inputs = cnn.inputs[:1]
    explain = METHODS[name].make(Setting(inputs))
    one, other = (explain(n.model).attribute(inputs, target=1) for n in (cnn, vit))
    assert torch.equal(one, other)


def test_the_flipped_control_is_minus_ilin_and_not_complete() -> None:
    network = NETWORKS["digits_cnn"]
    flipped, ilin = (_explained(name, network)[0] for name in ("sign_flipped", "ILIN"))
    assert torch.equal(flipped, -ilin)
    error = _declared_error("sign_flipped", network)
    assert error == pytest.approx(2 * abs(float(ilin.sum())), rel=1e-4)


def test_sobel_of_a_ramp_is_its_slope() -> None:
    ramp = 3.0 * torch.arange(5.0).expand(1, 2, 4, 5)
    inner = sobel(ramp)[..., 1:-1]
    assert torch.allclose(inner, torch.full_like(inner, 6.0))


def test_occlusion_of_a_linear_model_is_its_contributions() -> None:
    model = nn.Linear(4, 2)
    inputs, baseline = torch.randn(1, 4), torch.randn(1, 4)
    mask = torch.tensor([[0, 0, 1, 1]])
    explain = METHODS["Occlusion"].make(Setting(baseline, feature_mask=mask))
    found = explain(model).attribute(inputs, target=1)
    terms = model.weight[1] * (inputs - baseline)
    expected = terms.reshape(1, 2, 2).sum(2).repeat_interleave(2, 1)
    assert torch.allclose(found, expected, atol=1e-6)


def test_occlusion_takes_the_window() -> None:
    network = NETWORKS["digits_cnn"]
    inputs = network.inputs[:1]
    window = Setting(torch.zeros_like(inputs), (1, 4, 4))
    found = METHODS["Occlusion"].make(window)(network.model).attribute(inputs, target=0)
    without = inputs.clone()
    without[..., :4, 4:] = 0
    with torch.no_grad():
        fall = network.model(inputs)[0, 0] - network.model(without)[0, 0]
    assert torch.allclose(found[..., :4, 4:], fall.expand(4, 4), atol=1e-5)


class ReusedReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Linear(4, 4), nn.Linear(4, 2), nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.first(inputs))
        return self.relu(self.second(hidden))


def test_a_model_captum_cannot_handle_raises_its_error_and_stays_clean() -> None:
    model, inputs = ReusedReLU().eval(), torch.randn(1, 4)
    explainer = METHODS["DeepLIFT"].make(Setting(torch.zeros(1, 4)))(model)
    with untouched(model, inputs), pytest.raises(RuntimeError, match="more than once"):
        explainer.attribute(inputs, target=0)
    with untouched(model, inputs), pytest.raises(IndexError):
        explainer.attribute(inputs, target=9)


def test_captum_alone_would_leave_the_model_changed() -> None:
    """Otherwise `unchanged` could go."""
    from captum.attr import LRP

    model, inputs = nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.randn(1, 4)
    LRP(model).attribute(inputs.clone().requires_grad_(), target=0)
    assert "activations" in vars(model[0])


def test_unchanged_puts_back_attributes_and_hooks() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 2))
    model[0].note = "kept"
    model.register_forward_hook(lambda *_: None)
    with untouched(model), unchanged(model):
        model[0].note = "lost"
        model[0].more = 1
        model[0].register_forward_hook(lambda *_: None)
        model._forward_hooks.clear()


def test_smooth_grad_and_gradient_shap_draw_the_same_for_the_same_seed() -> None:
    network = NETWORKS["digits_vit"]
    for name in ("SmoothGrad", "GradientSHAP"):
        first, again = (_explained(name, network)[0] for _ in range(2))
        assert torch.equal(first, again)
        method, inputs = METHODS[name], network.inputs[:1]
        other = method.make(Setting(torch.zeros_like(inputs), seed=1))(network.model)
        target = int(network.targets[0])
        assert not torch.equal(first, other.attribute(inputs, target=target))
