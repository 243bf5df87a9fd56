"""Layer and neuron methods leave everything as it was, and explain what they are asked for.

Each check is a function of the method's class, so that broken methods can be passed in, as in
``test_untouched``. The specimens are at the end.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, IlinError, LayerILIN, NeuronILIN, TrainingModeWarning
from captum_ilin.cut import Cut
from tests.fingerprint import untouched
from tests.networks import ConvNet, TinyTransformer, dense_relu_map, pick, relu_mlp, smooth_mlp
from tests.test_untouched import Failing, inputs_for, with_gradients

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
EVERYTHING = {"return_convergence_delta": True, "return_bias": True}

NETWORKS = {
    "mlp": (smooth_mlp, (3,), "1"),
    "convnet": (ConvNet, (3, 12, 12), "norm"),
    "transformer": (lambda: TinyTransformer(batch_first=True), (5, 8), "layers.layers.0"),
}


def first_unit(value: Tensor) -> Tensor:
    return value.flatten(1)[:, 0]


def ask(method: Any, x: Tensor, **more: Any) -> Any:
    """Of a layer for output 1, of a neuron for its first unit."""
    return method.attribute(x, 1 if isinstance(method, LayerILIN) else first_unit, **more)


# checks


def check_leaves_everything(method: Any, name: str = "convnet") -> None:
    make, shape, layer = NETWORKS[name]
    network = with_gradients(make())
    for x in inputs_for(shape):
        for more in ({}, EVERYTHING):
            with untouched(network, x):
                ask(method(network, network.get_submodule(layer)), x, **more)


def check_leaves_everything_in_training_mode(method: Any) -> None:
    network = with_gradients(ConvNet().train())
    x = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    with untouched(network, x), pytest.warns(TrainingModeWarning):
        ask(method(network, network.first), x, **EVERYTHING)


def check_leaves_everything_after_an_error(method: Any) -> None:
    """Before the layer, in it, above it, and after the forward pass."""
    network, failing = with_gradients(relu_mlp(3, 5, 4)), with_gradients(Failing())
    explains = issubclass(method, LayerILIN)
    for x in inputs_for((3,)):
        for model, layer, wrong, error in (
            (network, network[1], 9 if explains else (9,), IlinError),
            (network, network[1], None, IlinError),
            (failing, failing.layer, 1, ZeroDivisionError),
            (network, nn.ReLU(), 1, IlinError),
        ):
            with untouched(model, x), untouched(layer), pytest.raises(error):
                method(model, layer).attribute(x, wrong)


def check_explains_every_example_at_its_target(method: type[LayerILIN]) -> None:
    network, x = relu_mlp(3, 6, 7, 5), torch.randn(4, 3, dtype=torch.float64)
    value, classes = network[:3](x).detach(), [4, 0, 3, 1]
    slope, intercept = dense_relu_map(network[3:], value)
    attributions, delta, bias = method(network, network[2]).attribute(
        x, torch.tensor(classes), **EVERYTHING
    )
    torch.testing.assert_close(attributions, pick(slope, classes) * value, **ROUNDING)
    torch.testing.assert_close(bias, pick(intercept, classes), **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def check_explains_the_unit_it_is_asked_for(method: type[NeuronILIN]) -> None:
    network, x = relu_mlp(3, 6, 7, 5), torch.randn(4, 3, dtype=torch.float64)
    slope, intercept = dense_relu_map(network[:3], x)
    for unit in range(7):
        attributions, delta, bias = method(network, network[2]).attribute(x, unit, **EVERYTHING)
        torch.testing.assert_close(attributions, slope[:, unit] * x, **ROUNDING)
        torch.testing.assert_close(bias, intercept[:, unit], **ROUNDING)
        torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def check_counts_the_path_around_the_layer(method: type[LayerILIN]) -> None:
    """Attributions of W a alone; the residual x is bias, not attribution."""
    layer, x = nn.Linear(3, 3).double(), torch.randn(4, 3, dtype=torch.float64)
    attributions, delta, bias = method(lambda x: x + 2 * layer(x), layer).attribute(
        x, 1, **EVERYTHING
    )
    expected = torch.zeros_like(x)
    expected[:, 1] = 2 * layer(x)[:, 1].detach()
    torch.testing.assert_close(attributions, expected, **ROUNDING)
    torch.testing.assert_close(bias, x[:, 1], **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def check_delta_measures_the_plain_network(method: Any) -> None:
    """With a rule whose value is wrong, delta is how wrong: it is not 0 by definition."""

    def short(input: Tensor, approximate: str = "none") -> Tensor:
        return 0.5 * input

    network, x = smooth_mlp(), torch.randn(4, 3, dtype=torch.float64)
    rules = DEFAULT_RULES | {nn.functional.gelu: short, torch._C._nn.gelu: short}
    layer = network[0] if issubclass(method, LayerILIN) else network[2]
    _, delta, _ = ask(method(network, layer, rules=rules), x, **EVERYTHING)
    unit = 1 if issubclass(method, LayerILIN) else 0
    with torch.no_grad():
        wrong = network[2](0.5 * network[0](x))[:, unit] - network(x)[:, unit]
    assert wrong.abs().min() > 1e-3
    torch.testing.assert_close(delta, wrong, **ROUNDING)


# the methods pass them


METHODS = pytest.mark.parametrize("method", [LayerILIN, NeuronILIN])


@METHODS
@pytest.mark.parametrize("name", NETWORKS)
def test_leaves_everything(method: Any, name: str) -> None:
    check_leaves_everything(method, name)


@METHODS
def test_leaves_everything_in_training_mode(method: Any) -> None:
    check_leaves_everything_in_training_mode(method)


@METHODS
def test_leaves_everything_after_an_error(method: Any) -> None:
    check_leaves_everything_after_an_error(method)


@METHODS
def test_delta_measures_the_plain_network(method: Any) -> None:
    check_delta_measures_the_plain_network(method)


def test_explains_what_it_is_asked_for() -> None:
    check_explains_every_example_at_its_target(LayerILIN)
    check_counts_the_path_around_the_layer(LayerILIN)
    check_explains_the_unit_it_is_asked_for(NeuronILIN)


# broken methods, which the checks must catch


class LeavesAHook(LayerILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.layer.register_forward_hook(lambda *_: None)
        return super().attribute(inputs, *args, **kwargs)


class LeavesAHookAfterAnError(NeuronILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        handle = self.layer.register_forward_pre_hook(lambda *_: None)
        result = super().attribute(inputs, *args, **kwargs)
        handle.remove()
        return result


class SwitchesToEvaluation(NeuronILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().attribute(inputs, *args, **kwargs)
        self.layer.eval()
        return result


class UpdatesRunningStatistics(LayerILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            self.forward_func(inputs)
        return super().attribute(inputs, *args, **kwargs)


class PollutesGradients(LayerILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.forward_func(inputs.detach().clone()).sum().backward()
        return super().attribute(inputs, *args, **kwargs)


class FreezesParameters(NeuronILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.layer.requires_grad_(False)
        return super().attribute(inputs, *args, **kwargs)


class LeavesTheInputActive(NeuronILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().attribute(inputs, *args, **kwargs)
        inputs.requires_grad_()
        return result


class KeepsTheValueOnTheLayer(LayerILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.layer.explained = super().attribute(inputs, *args, **kwargs)
        return self.layer.explained


@pytest.mark.parametrize(
    ("method", "check", "named"),
    [
        (LeavesAHook, check_leaves_everything, "norm _forward_hooks"),
        (LeavesAHookAfterAnError, check_leaves_everything_after_an_error, "_forward_pre_hooks"),
        (SwitchesToEvaluation, check_leaves_everything_in_training_mode, "first training"),
        (UpdatesRunningStatistics, check_leaves_everything_in_training_mode, "running_mean"),
        (PollutesGradients, check_leaves_everything, "parameter weight grad"),
        (FreezesParameters, check_leaves_everything, "norm parameter bias requires_grad"),
        (LeavesTheInputActive, check_leaves_everything, "input 0 requires_grad"),
        (KeepsTheValueOnTheLayer, check_leaves_everything, "norm attributes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_method_that_leaves_traces_is_caught(method: Any, check: Any, named: str) -> None:
    with pytest.raises(AssertionError, match=f"changed: .*{named}"):
        check(method)


class ExplainsTheFirstTargetOnly(LayerILIN):
    def attribute(self, inputs: Any, target: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().attribute(inputs, int(target[0]), *args, **kwargs)


class ExplainsTheInput(LayerILIN):
    """Of the layer, where its output is asked for."""

    def attribute(self, inputs: Any, target: Any = None, **kwargs: Any) -> Any:
        return super().attribute(inputs, target, attribute_to_layer_input=True, **kwargs)


class ReturnsTheWeight(LayerILIN):
    def _attributions(self, weights: Any, values: Any) -> Any:
        return weights[0]


class SharesOneBias(LayerILIN):
    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        attributions, delta, bias = super().attribute(*args, **kwargs)
        return attributions, delta, bias.mean().expand_as(bias)


@pytest.mark.parametrize(
    "method", [ExplainsTheFirstTargetOnly, ExplainsTheInput, ReturnsTheWeight, SharesOneBias]
)
def test_a_layer_method_that_explains_something_else_is_caught(method: Any) -> None:
    with pytest.raises(AssertionError, match=r"not close|shape"):
        check_explains_every_example_at_its_target(method)


class ExplainsTheFirstUnit(NeuronILIN):
    def attribute(self, inputs: Any, neuron_selector: Any, *args: Any, **kwargs: Any) -> Any:
        return super().attribute(inputs, 0, *args, **kwargs)


class ExplainsAnotherSide(NeuronILIN):
    def attribute(self, inputs: Any, neuron_selector: Any, **kwargs: Any) -> Any:
        return super().attribute(
            inputs, neuron_selector % 6, attribute_to_neuron_input=True, **kwargs
        )


@pytest.mark.parametrize("method", [ExplainsTheFirstUnit, ExplainsAnotherSide])
def test_a_neuron_method_that_explains_something_else_is_caught(method: Any) -> None:
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        check_explains_the_unit_it_is_asked_for(method)


class ForgetsThePathAround(LayerILIN):
    """Everything that enters above is divided among the layer's units."""

    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        attributions, delta, bias = super().attribute(*args, **kwargs)
        share = bias / attributions.shape[1]
        return attributions + share[:, None], delta, torch.zeros_like(bias)


def test_a_method_that_spreads_the_bias_is_caught() -> None:
    """Though its attributions add up to the prediction."""
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        check_counts_the_path_around_the_layer(ForgetsThePathAround)


class AlwaysExact(LayerILIN):
    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        attributions, delta, bias = super().attribute(*args, **kwargs)
        return attributions, torch.zeros_like(delta), bias


class DefinesTheBias(NeuronILIN):
    """b := n − <W, x>, complete by definition."""

    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        attributions, delta, bias = super().attribute(*args, **kwargs)
        return attributions, torch.zeros_like(delta), bias - delta


@pytest.mark.parametrize("method", [AlwaysExact, DefinesTheBias])
def test_a_delta_that_proves_nothing_is_caught(method: Any) -> None:
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        check_delta_measures_the_plain_network(method)


def test_the_hook_is_removed_whatever_the_visitor_does() -> None:
    layer = nn.Linear(3, 2)
    for at_input in (False, True):
        cut = Cut(layer, at_input)
        visited = cut.visited(lambda value: 1 / 0)
        with untouched(layer), pytest.raises(ZeroDivisionError), visited:
            layer(torch.ones(1, 3))
