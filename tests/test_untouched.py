"""The user's model, tensors and PyTorch are after a call what they were before.

Each check is a function of the method's class, so that broken methods can be passed in: a
check that a broken method passes is no check. The specimens are at the end.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import (
    DEFAULT_RULES,
    ILIN,
    IlinError,
    NotExactError,
    TrainingModeWarning,
    frozen,
    in_double,
    linearize,
)
from tests.fingerprint import untouched
from tests.networks import (
    ConvNet,
    TinyTransformer,
    dense_relu_map,
    pick,
    relu_mlp,
    residual_convnet,
    smooth_mlp,
)

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
EVERYTHING = {"return_convergence_delta": True, "return_bias": True}

NETWORKS = {
    "mlp": (smooth_mlp, (3,)),
    "convnet": (ConvNet, (3, 12, 12)),
    "in-place convnet": (residual_convnet, (3, 12, 12)),
    "first op in place": (lambda: nn.Sequential(nn.ReLU(inplace=True), smooth_mlp()), (3,)),
    "transformer": (lambda: TinyTransformer(batch_first=True), (5, 8)),
}


def with_gradients(network: nn.Module) -> nn.Module:
    """A model as found in the middle of training: some .grad set, some frozen, some None."""
    for number, parameter in enumerate(network.parameters()):
        if number % 3 == 0:
            parameter.grad = torch.randn_like(parameter)
        if number % 3 == 1:
            parameter.requires_grad_(False)
    return network


def inputs_for(shape: tuple[int, ...]) -> list[Tensor]:
    """Plain, requiring gradients, and with a gradient already."""
    plain, wanting, having = (torch.randn(3, *shape, dtype=torch.float64) for _ in range(3))
    wanting.requires_grad_()
    having.requires_grad_().grad = torch.randn_like(having)
    return [plain, wanting, having]


# checks


def check_leaves_everything(method: type[ILIN], name: str) -> None:
    """After success, whatever was asked for."""
    make, shape = NETWORKS[name]
    network = with_gradients(make())
    for x in inputs_for(shape):
        for more in ({}, EVERYTHING):
            with untouched(network, x):
                method(network).attribute(x, target=1, **more)


def check_leaves_everything_in_training_mode(method: type[ILIN]) -> None:
    """Flags, running statistics and counters included."""
    network = with_gradients(ConvNet().train())
    x = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    with untouched(network, x), pytest.warns(TrainingModeWarning):
        method(network).attribute(x, target=1, **EVERYTHING)


def check_leaves_everything_after_an_error(method: type[ILIN]) -> None:
    """An error before the forward pass, inside it, and after it."""
    network, failing = with_gradients(smooth_mlp()), with_gradients(Failing())
    for x in inputs_for((3,)):
        for model, target, error in (
            (network, 9, IlinError),
            (network, None, IlinError),
            (failing, 1, ZeroDivisionError),
        ):
            with untouched(model, x), pytest.raises(error):
                method(model).attribute(x, target=target)
        with untouched(network, x), pytest.raises(IlinError):
            method(network).attribute(x[:0], target=1)


def check_leaves_a_rule_that_fails(method: type[ILIN]) -> None:
    """An error raised inside a rule, with the mode and the tape open."""

    def failing(*args: Any, **kwargs: Any) -> Tensor:
        raise ZeroDivisionError

    network, x = with_gradients(smooth_mlp()), torch.randn(3, 3, dtype=torch.float64)
    rules = DEFAULT_RULES | {nn.functional.gelu: failing, torch._C._nn.gelu: failing}
    with untouched(network, x), pytest.raises(ZeroDivisionError):
        method(network, rules=rules).attribute(x, target=1)
    with untouched(network, x):
        method(network).attribute(x, target=1)


def check_leaves_additional_arguments(method: type[ILIN]) -> None:
    network, x = smooth_mlp(), torch.randn(3, 3, dtype=torch.float64)
    for extra in inputs_for((4,)):
        with untouched(network, x, extra):
            method(lambda x, y: network(x) * y).attribute(x, 1, extra, **EVERYTHING)


def check_explains_every_example_at_its_target(method: type[ILIN]) -> None:
    network, x = relu_mlp(3, 6, 5), torch.randn(4, 3, dtype=torch.float64)
    slope, intercept = dense_relu_map(network, x)
    classes = [4, 0, 3, 1]
    attributions, delta, bias = method(network).attribute(
        x, target=torch.tensor(classes), **EVERYTHING
    )
    torch.testing.assert_close(attributions, pick(slope, classes) * x, **ROUNDING)
    torch.testing.assert_close(bias, pick(intercept, classes), **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def check_delta_measures_the_plain_network(method: type[ILIN]) -> None:
    """With a rule whose value is wrong, delta is how wrong: it is not 0 by definition."""

    def short(input: Tensor, approximate: str = "none") -> Tensor:
        return 0.5 * input

    network, x = smooth_mlp(), torch.randn(4, 3, dtype=torch.float64)
    rules = DEFAULT_RULES | {nn.functional.gelu: short, torch._C._nn.gelu: short}
    attributions, delta, bias = method(network, rules=rules).attribute(x, 2, **EVERYTHING)
    with torch.no_grad():
        wrong = network[2](0.5 * network[0](x))[:, 2] - network(x)[:, 2]
    assert wrong.abs().min() > 1e-3
    torch.testing.assert_close(delta, wrong, **ROUNDING)
    torch.testing.assert_close(
        attributions.sum(1) + bias, wrong + network(x)[:, 2].detach(), **ROUNDING
    )


class Failing(nn.Module):
    """Fails half way, in place, with gradients off."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4).double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x.relu_())
        with torch.no_grad():
            raise ZeroDivisionError


# the method passes them


@pytest.mark.parametrize("name", NETWORKS)
def test_attribute_leaves_everything(name: str) -> None:
    check_leaves_everything(ILIN, name)


def test_attribute_leaves_everything_in_training_mode() -> None:
    check_leaves_everything_in_training_mode(ILIN)


class Caller:
    """Holds a network, and is neither a module nor a function."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, x: Tensor) -> Any:
        return self.network(x)

    def run(self, x: Tensor) -> Any:
        return self.network(x)


def within_a_function(network: nn.Module) -> Any:
    def inner(x: Tensor) -> Any:
        return network(x)

    return lambda x: inner(x)


WAYS_TO_CALL = {
    "in_double": in_double,
    "in_double of a function": lambda network: in_double(within_a_function(network)),
    "partial of a function": lambda network: functools.partial(within_a_function(network)),
    "function within a function": within_a_function,
    "method": lambda network: Caller(network).run,
    "callable object": Caller,
}


@pytest.mark.parametrize("way", WAYS_TO_CALL)
def test_networks_that_are_called_indirectly_are_left_alone(way: str) -> None:
    """Running statistics and their counters, through the plain forward pass as well."""
    network, x = ConvNet().train(), torch.randn(3, 3, 12, 12, dtype=torch.float64)
    forward = WAYS_TO_CALL[way](network)
    with untouched(network, x), pytest.warns(TrainingModeWarning):
        ILIN(forward).attribute(x, target=1, **EVERYTHING)


def test_attribute_leaves_everything_after_an_error() -> None:
    check_leaves_everything_after_an_error(ILIN)


def test_attribute_leaves_everything_after_a_rule_fails() -> None:
    check_leaves_a_rule_that_fails(ILIN)


def test_attribute_leaves_additional_arguments() -> None:
    check_leaves_additional_arguments(ILIN)


def test_attribute_explains_every_example_at_its_target() -> None:
    check_explains_every_example_at_its_target(ILIN)


def test_delta_measures_the_plain_network() -> None:
    check_delta_measures_the_plain_network(ILIN)


def test_delta_leaves_everything() -> None:
    network, x = with_gradients(smooth_mlp()), torch.randn(3, 3, dtype=torch.float64)
    with untouched(network, x):
        ILIN(network).compute_convergence_delta(x, None, x, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_linearize_and_its_map_leave_everything(name: str) -> None:
    make, shape = NETWORKS[name]
    network = with_gradients(make())
    for x in inputs_for(shape):
        with untouched(network, x):
            affine_map = linearize(network, x)
            affine_map.weight(), affine_map.weight(1), affine_map.bias(), affine_map.bias(1)
            affine_map.bias_ledger(1), affine_map.check()


def test_frozen_leaves_the_model_and_what_is_not_asked_for() -> None:
    network, x = with_gradients(smooth_mlp()), torch.randn(3, 3, dtype=torch.float64)
    point = x.clone().requires_grad_()
    with untouched(network, x, point):
        torch.autograd.grad(frozen(network)(point).sum(), point)


def test_backward_through_the_frozen_network_reaches_the_input_only() -> None:
    network, x = smooth_mlp(), torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    with untouched(network):
        frozen(network)(x).sum().backward()
    assert x.grad is not None


def test_a_map_that_is_kept_does_not_hold_the_model_back() -> None:
    """Training goes on between asking for the map and reading its weight."""
    network, x = relu_mlp(3, 6, 4), torch.randn(3, 3, dtype=torch.float64)
    affine_map, slope = linearize(network, x), dense_relu_map(network, x)[0]
    network(x).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    torch.testing.assert_close(affine_map.weight(), slope, **ROUNDING)


def test_a_map_made_in_training_mode_stays_readable() -> None:
    """Plain forward passes write running statistics; put back, they stop no one."""
    network, x = ConvNet().train(), torch.randn(3, 3, 12, 12, dtype=torch.float64)
    with untouched(network, x):
        with pytest.warns(TrainingModeWarning):
            affine_map = linearize(network, x)
        with pytest.warns(TrainingModeWarning), pytest.raises(NotExactError) as error:
            affine_map.check()
        total = (affine_map.weight(1) * x).sum() + affine_map.bias(1).sum()
    assert "rows that depend on each other (batch norm in training mode" in str(error.value)
    torch.testing.assert_close(total, affine_map.outputs[:, 1].sum(), **ROUNDING)


def test_random_numbers_are_drawn_only_by_the_model() -> None:
    """Dropout in training mode draws as often as forward passes are made."""
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout()).double().train()
    x = torch.randn(3, 3, dtype=torch.float64)
    torch.manual_seed(3)
    with pytest.warns(TrainingModeWarning):
        first = ILIN(network).attribute(x, target=1)
    torch.manual_seed(3)
    with pytest.warns(TrainingModeWarning):
        assert torch.equal(ILIN(network).attribute(x, target=1), first)


# broken methods, which the checks must catch


class LeavesAHook(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        next(self.forward_func.modules()).register_forward_hook(lambda *_: None)
        return super().attribute(inputs, *args, **kwargs)


class LeavesAHookAfterAnError(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        handle = self.forward_func.register_forward_pre_hook(lambda *_: None)
        result = super().attribute(inputs, *args, **kwargs)
        handle.remove()
        return result


class SwitchesToEvaluation(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().attribute(inputs, *args, **kwargs)
        self.forward_func.eval()
        return result


class UpdatesRunningStatistics(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            self.forward_func(inputs)
        return super().attribute(inputs, *args, **kwargs)


class PollutesGradients(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.enable_grad():
            self.forward_func(inputs.detach().clone()).sum().backward()
        return super().attribute(inputs, *args, **kwargs)


class FreezesParameters(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        for parameter in self.forward_func.parameters():
            parameter.requires_grad_(False)
        return super().attribute(inputs, *args, **kwargs)


class LeavesTheInputActive(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().attribute(inputs, *args, **kwargs)
        inputs.requires_grad_()
        return result


class LeavesTheInputActiveAfterAnError(ILIN):
    """As Captum's own gradient methods do."""

    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        active = inputs.requires_grad
        if inputs.is_leaf:
            inputs.requires_grad_()
        result = super().attribute(inputs, *args, **kwargs)
        if inputs.is_leaf:
            inputs.requires_grad_(active)
        return result


class WritesIntoTheInput(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().attribute(inputs, *args, **kwargs)
        inputs.detach().relu_()
        return result


class ClearsTheInputsGradient(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        inputs.grad = None
        return super().attribute(inputs, *args, **kwargs)


class PatchesTensor(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        original = Tensor.relu
        Tensor.relu = lambda self: original(self)
        return super().attribute(inputs, *args, **kwargs)


class TurnsGradientsOff(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().attribute(inputs, *args, **kwargs)
        torch.set_grad_enabled(False)
        return result


class DrawsRandomNumbers(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        torch.rand(1)
        return super().attribute(inputs, *args, **kwargs)


class KeepsSomethingOnTheModel(ILIN):
    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.forward_func.explained = True
        return super().attribute(inputs, *args, **kwargs)


@pytest.fixture
def torch_as_it_was() -> Any:
    """Undo what the specimens do to PyTorch itself."""
    relu = Tensor.relu
    yield
    Tensor.relu = relu
    torch.set_grad_enabled(True)


def leaves_everything(method: type[ILIN]) -> None:
    check_leaves_everything(method, "convnet")


@pytest.mark.usefixtures("torch_as_it_was")
@pytest.mark.parametrize(
    ("method", "check", "named"),
    [
        (LeavesAHook, leaves_everything, "model _forward_hooks"),
        (LeavesAHookAfterAnError, check_leaves_everything_after_an_error, "_forward_pre_hooks"),
        (SwitchesToEvaluation, check_leaves_everything_in_training_mode, "norm training"),
        (UpdatesRunningStatistics, check_leaves_everything_in_training_mode, "running_mean"),
        (PollutesGradients, leaves_everything, "parameter weight grad"),
        (FreezesParameters, leaves_everything, "parameter weight requires_grad"),
        (LeavesTheInputActive, leaves_everything, "input 0 requires_grad"),
        (
            LeavesTheInputActiveAfterAnError,
            check_leaves_everything_after_an_error,
            "input 0 requires_grad",
        ),
        (WritesIntoTheInput, leaves_everything, "input 0 values"),
        (ClearsTheInputsGradient, leaves_everything, "input 0 grad"),
        (PatchesTensor, leaves_everything, "patched"),
        (TurnsGradientsOff, leaves_everything, "gradients"),
        (DrawsRandomNumbers, leaves_everything, "random state"),
        (KeepsSomethingOnTheModel, leaves_everything, "model attributes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_method_that_leaves_traces_is_caught(
    method: type[ILIN], check: Any, named: str
) -> None:
    with pytest.raises(AssertionError, match=f"changed: .*{named}"):
        check(method)


class ExplainsTheFirstTargetOnly(ILIN):
    def attribute(self, inputs: Any, target: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().attribute(inputs, int(target[0]), *args, **kwargs)


class ReturnsTheWeight(ILIN):
    """W where W ∘ x is asked for, its delta measured as if nothing were wrong."""

    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return ILIN(self.forward_func, False, self.rules).attribute(inputs, *args, **kwargs)


class ReturnsTheGradient(ILIN):
    """Of the sum of all outputs."""

    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        _, delta, bias = super().attribute(inputs, *args, **kwargs)
        point = inputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.forward_func(point).sum(), point)
        return gradient * inputs, delta, bias


class SharesOneBias(ILIN):
    """The mean over the batch."""

    def _bias(self, *args: Any) -> Tensor:
        bias = super()._bias(*args)
        return bias.mean().expand_as(bias)


@pytest.mark.parametrize(
    "method",
    [ExplainsTheFirstTargetOnly, ReturnsTheWeight, ReturnsTheGradient, SharesOneBias],
)
def test_a_method_that_explains_something_else_is_caught(method: type[ILIN]) -> None:
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        check_explains_every_example_at_its_target(method)


class AlwaysExact(ILIN):
    """Delta zero, whatever happened."""

    def _delta(self, *args: Any) -> Tensor:
        return torch.zeros_like(super()._delta(*args))


class DefinesTheBias(ILIN):
    """b := F − <W, x>, complete by definition."""

    def attribute(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        attributions, delta, bias = super().attribute(inputs, *args, **kwargs)
        return attributions, torch.zeros_like(delta), bias - delta


class WrongSign(ILIN):
    def _delta(self, *args: Any) -> Tensor:
        return -super()._delta(*args)


class WithoutBias(ILIN):
    """Captum's usual delta, which is not our identity: Σ attributions − F."""

    def _delta(self, terms: Any, bias: Tensor, *rest: Any) -> Tensor:
        return super()._delta(terms, torch.zeros_like(bias), *rest)


@pytest.mark.parametrize("method", [AlwaysExact, DefinesTheBias, WrongSign, WithoutBias])
def test_a_delta_that_proves_nothing_is_caught(method: type[ILIN]) -> None:
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        check_delta_measures_the_plain_network(method)
