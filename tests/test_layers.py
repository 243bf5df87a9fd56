"""``LayerInstanceWiseLinearization``: F = W a + b, a a layer's value.

References come from products of the network's own matrices above the layer, or from the
formula of a small network, with no autograd and no hook in them.
"""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerAttribution, LayerGradientXActivation
from torch import Tensor, nn

from captum_ilin import LayerILIN, LayerInstanceWiseLinearization, NeuronILIN, linearize
from tests.completeness import EVERYTHING, assert_complete
from tests.fingerprint import untouched
from tests.networks import (
    ConvNet,
    dense_relu_map,
    pick,
    relu_mlp,
    residual_convnet,
    smooth_mlp,
)

BATCH = 4
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}  # float64, sums of some ten products of order one


@pytest.fixture
def network() -> nn.Sequential:
    return relu_mlp(3, 6, 7, 5)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 3, dtype=torch.float64)


# the contract


def test_is_a_captum_layer_method() -> None:
    assert LayerILIN is LayerInstanceWiseLinearization
    assert issubclass(LayerILIN, (LayerGradientXActivation, LayerAttribution))
    assert LayerILIN(nn.Linear(2, 1), None).has_convergence_delta() is True


@pytest.mark.parametrize("method", ["__init__", "attribute"])
def test_arguments_are_in_the_order_of_captum_s(method: str) -> None:
    def positional(owner: Any) -> list[str]:
        parameters = inspect.signature(getattr(owner, method)).parameters.values()
        return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    captums = [n for n in positional(LayerGradientXActivation) if n != "memory_efficient"]
    assert positional(LayerILIN) == captums


def test_layer_can_be_set(network: nn.Sequential, x: Tensor) -> None:
    """TCAV sets it, and calls ``attribute.__wrapped__``."""
    method = LayerILIN(network, None)
    for layer in (network[1], network[2]):
        method.layer = layer
        expected = LayerILIN(network, layer).attribute(x, 2)
        assert torch.equal(LayerILIN.attribute.__wrapped__(method, x, 2), expected)


# W ∘ a and b


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
@pytest.mark.parametrize("multiplied", [True, False], ids=["W∘a", "W"])
def test_every_layer_of_a_relu_network(
    network: nn.Sequential, x: Tensor, position: int, at_input: bool, multiplied: bool
) -> None:
    below, above = (network[:position], network[position:])
    if not at_input:
        below, above = network[: position + 1], network[position + 1 :]
    value = below(x).detach()
    slope, intercept = dense_relu_map(above, value)
    attributions, delta, bias = LayerILIN(
        network, network[position], None, multiplied
    ).attribute(x, 3, attribute_to_layer_input=at_input, **EVERYTHING)
    torch.testing.assert_close(
        attributions, slope[:, 3] * (value if multiplied else 1), **ROUNDING
    )
    torch.testing.assert_close(bias, intercept[:, 3], **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (3, [3, 3, 3, 3]),
        ((3,), [3, 3, 3, 3]),
        (torch.tensor(2), [2, 2, 2, 2]),
        (torch.tensor([2]), [2, 2, 2, 2]),
        (torch.tensor([4, 0, 1, 3]), [4, 0, 1, 3]),
        ([4, 0, 1, 3], [4, 0, 1, 3]),
        ([(4,), (0,), (1,), (3,)], [4, 0, 1, 3]),
    ],
)
def test_each_example_is_explained_at_its_own_target(
    network: nn.Sequential, x: Tensor, target: Any, classes: list[int]
) -> None:
    value = network[:2](x).detach()
    slope, intercept = dense_relu_map(network[2:], value)
    attributions, delta, bias = LayerILIN(network, network[1]).attribute(
        x, target, **EVERYTHING
    )
    torch.testing.assert_close(attributions, pick(slope, classes) * value, **ROUNDING)
    torch.testing.assert_close(bias, pick(intercept, classes), **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_no_target_is_needed_for_one_output(x: Tensor) -> None:
    network = relu_mlp(3, 6, 1)
    attributions = LayerILIN(lambda x: network(x).squeeze(1), network[1]).attribute(x)
    slope, _ = dense_relu_map(network[2:], network[:2](x).detach())
    torch.testing.assert_close(attributions, slope[:, 0] * network[:2](x).detach(), **ROUNDING)


def test_above_a_smooth_network_s_layer_the_map_is_that_of_the_cut_network(x: Tensor) -> None:
    network = smooth_mlp()
    value = network[0](x).detach()
    expected = linearize(network[1:], value)
    attributions, bias = LayerILIN(network, network[0]).attribute(x, 1, return_bias=True)
    torch.testing.assert_close(attributions, expected.weight(1) * value, **ROUNDING)
    torch.testing.assert_close(bias, expected.bias(1), **ROUNDING)


class PastTheLayer(nn.Module):
    """head(x + layer(x)) · σ(x): a residual path and a gate that pass the layer by."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 3), nn.Linear(3, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.layer(x)) * torch.sigmoid(x)


def test_what_passes_the_layer_by_is_counted_in_the_bias(x: Tensor) -> None:
    model = PastTheLayer()
    attributions, delta, bias = LayerILIN(model, model.layer).attribute(x, 2, **EVERYTHING)
    with torch.no_grad():
        gate = torch.sigmoid(x)[:, 2]
        expected = gate[:, None] * model.head.weight[2] * model.layer(x)
        around = gate * (x @ model.head.weight[2] + model.head.bias[2])
    torch.testing.assert_close(attributions, expected, **ROUNDING)
    torch.testing.assert_close(bias, around, **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_the_ledger_tells_the_residual_path_from_the_head_s_bias(x: Tensor) -> None:
    model = PastTheLayer()
    entries = LayerILIN(model, model.layer).bias_ledger(x, 2)
    ledger = {str(site): term for site, term in entries.items()}
    with torch.no_grad():
        gate = torch.sigmoid(x)[:, 2]
        around = gate[:, None] * model.head.weight[2] * x
    assert list(ledger) == ["add", "linear in 'head'"]
    torch.testing.assert_close(ledger["add"], around, **ROUNDING)
    torch.testing.assert_close(
        ledger["linear in 'head'"][:, 2], gate * model.head.bias[2].detach(), **ROUNDING
    )


def test_several_layers_are_explained_each_on_its_own(
    network: nn.Sequential, x: Tensor
) -> None:
    layers = [network[0], network[3], network[1]]
    together = LayerILIN(network, layers).attribute(x, 1, **EVERYTHING)
    for number, layer in enumerate(layers):
        alone = LayerILIN(network, layer).attribute(x, 1, **EVERYTHING)
        for column, value in zip(together, alone, strict=True):
            assert isinstance(column, list)
            assert torch.equal(column[number], value)
    attributions = LayerILIN(network, layers).attribute(x, 1)
    assert isinstance(attributions, list)
    assert len(attributions) == 3
    ledgers = LayerILIN(network, layers).bias_ledger(x, 1)
    for ledger, bias in zip(ledgers, together[2], strict=True):
        total = torch.stack([term.sum() for term in ledger.values()]).sum()
        torch.testing.assert_close(total, bias.sum(), **ROUNDING)
    (only,) = LayerILIN(network, [network[3]]).attribute(x, 1)
    assert torch.equal(only, attributions[1])


def test_a_nested_layer_explains_the_same_output_again(x: Tensor) -> None:
    """Each adds up to the prediction alone, in a residual block too."""
    model = residual_convnet()
    images = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    for layer in (model[1], model[1].body, model[1].body[0], model[1].body[2], model[2]):
        for at_input in (False, True):
            assert_complete(model, layer, images, attribute_to_layer_input=at_input)


def test_the_input_of_a_layer_is_what_enters_it_and_no_other_use_of_it(x: Tensor) -> None:
    """Captum's gradient is that of the tensor, which the residual path uses too."""
    model = PastTheLayer()
    method, captums = (
        LayerILIN(model, model.layer),
        LayerGradientXActivation(model, model.layer),
    )
    attributions = method.attribute(x, 2, attribute_to_layer_input=True)
    with torch.no_grad():
        gate = torch.sigmoid(x)[:, 2]
        through = gate[:, None] * (model.head.weight[2] @ model.layer.weight) * x
    torch.testing.assert_close(attributions, through, **ROUNDING)
    theirs = captums.attribute(x, 2, attribute_to_layer_input=True)
    assert (theirs - through).abs().max() > 1e-3


# around the call


def test_additional_arguments_are_constants(network: nn.Sequential, x: Tensor) -> None:
    factor = torch.tensor([2.0, 3, 4, 5], dtype=torch.float64, requires_grad=True)

    def forward(x: Tensor, factor: Tensor, more: float) -> Tensor:
        return network(x) * factor[:, None] + more

    plain, plain_bias = LayerILIN(network, network[1]).attribute(x, 1, return_bias=True)
    scaled, bias = LayerILIN(forward, network[1]).attribute(
        x, 1, (factor, 0.5), return_bias=True
    )
    fixed = factor.detach()
    torch.testing.assert_close(scaled, fixed[:, None] * plain, **ROUNDING)
    torch.testing.assert_close(bias, fixed * plain_bias + 0.5, **ROUNDING)
    assert factor.grad is None


def test_a_forward_function_without_parameters_is_given_none(
    network: nn.Sequential, x: Tensor
) -> None:
    """As in Captum; the layer's value does not come from the arguments here."""
    closed = LayerILIN(lambda: network(x), network[1]).attribute(x, 1, **EVERYTHING)
    torch.testing.assert_close(
        closed, LayerILIN(network, network[1]).attribute(x, 1, **EVERYTHING), **ROUNDING
    )


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients(network: nn.Sequential, x: Tensor, caller: Any) -> None:
    expected = LayerILIN(network, network[1]).attribute(x, 2, **EVERYTHING)
    with caller():
        found = LayerILIN(network, network[1]).attribute(x.clone(), 2, **EVERYTHING)
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(found, expected, **ROUNDING)


def test_nothing_returned_carries_a_graph(network: nn.Sequential, x: Tensor) -> None:
    results = LayerILIN(network, network[1]).attribute(x.requires_grad_(), 2, **EVERYTHING)
    assert not any(result.requires_grad for result in results)


def test_delta_is_measured_against_the_plain_network(x: Tensor) -> None:
    """A network that answers 0.5 more on every later call must show it."""
    network, calls = relu_mlp(3, 4, 2), []

    def drifting(x: Tensor) -> Tensor:
        calls.append(None)
        return network(x) + 0.5 * (len(calls) - 1)

    _, delta, bias = LayerILIN(drifting, network[1]).attribute(x, 0, **EVERYTHING)
    assert len(calls) == 3  # the layer's value, the map, the plain network
    intercept = dense_relu_map(network[2:], network[:2](x).detach())[1]
    torch.testing.assert_close(bias, intercept[:, 0] + 0.5, **ROUNDING)
    torch.testing.assert_close(delta, torch.full_like(delta, -0.5), **ROUNDING)


def test_only_as_many_forward_passes_as_stated(x: Tensor) -> None:
    network, calls = relu_mlp(3, 4, 2), []

    def counting(x: Tensor) -> Tensor:
        calls.append(None)
        return network(x)

    LayerILIN(counting, network[1]).attribute(x, 0, return_bias=True)
    assert len(calls) == 2


def test_another_thread_at_the_same_layer_is_left_alone(x: Tensor) -> None:
    """While one thread explains, the hook is there; another's forward pass must not see it."""
    network, inside, done = relu_mlp(3, 4, 2), threading.Event(), threading.Event()
    other, plain = x + 1, relu_mlp(3, 4, 2)
    plain.load_state_dict(network.state_dict())
    found: list[Tensor] = []

    def elsewhere() -> None:
        inside.wait(10)
        with torch.no_grad():
            found.append(network(other))
        done.set()

    def forward(x: Tensor) -> Tensor:
        inside.set()
        assert done.wait(10)
        return network(x)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    attributions = LayerILIN(forward, network[1]).attribute(x, 1)
    thread.join()
    torch.testing.assert_close(found, [plain(other).detach()], **ROUNDING)
    torch.testing.assert_close(
        attributions, LayerILIN(plain, plain[1]).attribute(x, 1), **ROUNDING
    )


@pytest.mark.parametrize("wrapped", [False, True], ids=["given ids", "DataParallel"])
def test_data_parallel_on_the_cpu_is_honoured(
    network: nn.Sequential, x: Tensor, wrapped: bool
) -> None:
    model = nn.DataParallel(network) if wrapped else network
    method = LayerILIN(model, network[1], device_ids=None if wrapped else [0])
    expected = LayerILIN(network, network[1]).attribute(x, 1, **EVERYTHING)
    torch.testing.assert_close(method.attribute(x, 1, **EVERYTHING), expected, **ROUNDING)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # the compiler's own
def test_compiled_models_are_seen_through(network: nn.Sequential, x: Tensor) -> None:
    compiled = torch.compile(network, backend="eager")
    compiled(x)
    for method, chosen in ((LayerILIN, 1), (NeuronILIN, 2)):
        torch.testing.assert_close(
            method(compiled, network[1]).attribute(x, chosen, **EVERYTHING),
            method(network, network[1]).attribute(x, chosen, **EVERYTHING),
            **ROUNDING,
        )


def test_several_threads_at_one_layer(network: nn.Sequential, x: Tensor) -> None:
    expected = [LayerILIN(network, network[1]).attribute(row[None], 1) for row in x]
    found: dict[int, list[Tensor]] = {number: [] for number in range(BATCH)}

    def explain(number: int) -> None:
        for _ in range(10):
            row = x[number : number + 1]
            found[number].append(LayerILIN(network, network[1]).attribute(row, 1))

    threads = [threading.Thread(target=explain, args=(number,)) for number in found]
    with untouched(network, x):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number, results in found.items():
        assert len(results) == 10
        assert all(torch.equal(result, expected[number]) for result in results)


def test_hooks_of_the_model_run_before_ours(network: nn.Sequential, x: Tensor) -> None:
    """The explained value is what the rest of the network receives."""
    network[1].register_forward_hook(lambda module, args, output: 2 * output)
    value = 2 * F.relu(network[0](x)).detach()
    slope, _ = dense_relu_map(network[2:], value)
    attributions = LayerILIN(network, network[1]).attribute(x, 1)
    torch.testing.assert_close(attributions, slope[:, 1] * value, **ROUNDING)


def test_convnet_with_overlapping_pools() -> None:
    model, x = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    for name, module in model.named_modules():
        if name:
            assert_complete(model, module, x)
            assert_complete(model, module, x, attribute_to_layer_input=True)


@pytest.mark.parametrize(
    ("name", "layer", "at_input"),
    [
        ("resnet18", "layer1.0.relu", False),
        ("resnet18", "layer3.1.bn2", True),
        ("efficientnet_b0", "features.2.0.block.2.scale_activation", False),
        ("efficientnet_b0", "features.3.1", True),
    ],
)
def test_layers_of_torchvision_models(name: str, layer: str, at_input: bool) -> None:
    """A reused ReLU in place, residual paths, a squeeze-and-excite gate."""
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    model = models.get_model(name, num_classes=5).double().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    attributions, delta, bias = LayerILIN(model, model.get_submodule(layer)).attribute(
        x, 1, attribute_to_layer_input=at_input, **EVERYTHING
    )
    size = attributions.abs().sum() + bias.abs().sum()
    assert delta.abs().max() <= 1e-12 * size
    assert attributions.abs().sum() > 0
