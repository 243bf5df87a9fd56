"""Captum's own shipped test configurations, with our classes in place of Captum's.

As shipped, their networks are made of ReLU and linear layers, where our attributions are
InputXGradient, LayerGradientXActivation and NeuronGradient times the input; but in most of
them all targets have the same gradient. So each is also run on random weights, and compared
with a dense reference: central differences of the plain network in float64, taken entry by
entry, with no gradient in them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import InputXGradient, LayerGradientXActivation, NeuronGradient, NoiseTunnel
from torch import Tensor, nn

from captum_ilin import ILIN, LayerILIN, NeuronILIN
from captum_ilin.arguments import mapped
from tests.fingerprint import untouched

if TYPE_CHECKING:
    from collections.abc import Callable

configurations = pytest.importorskip(
    "captum.testing.attr.helpers.test_config",
    reason="this captum does not ship its test configurations",
)

ROUNDING = {"rtol": 1e-5, "atol": 1e-5}  # float32, values up to 1e2
STEP = 1e-5  # relative to the size of what is stepped
# Rounding of value times slope is 1e-16 / STEP of the outputs, up to 1e4; curvature (of one
# softmax) enters as STEP squared.
DIFFERENCES = {"rtol": 1e-6, "atol": 1e-6}


def listing(algorithm: type) -> list[dict[str, Any]]:
    return [c for c in configurations.config if algorithm in c["algorithms"]]


def each(*algorithms: type, where: Callable[[dict[str, Any]], bool] | None = None) -> Any:
    """Parametrize by every configuration that lists one of the algorithms."""
    chosen = [c for a in algorithms for c in listing(a) if where is None or where(c)]
    return pytest.mark.parametrize("configuration", chosen, ids=lambda c: c["name"])


def layers_of(configuration: dict[str, Any], model: nn.Module) -> Any:
    names = configuration.get("layer")
    if isinstance(names, list):
        return [model.get_submodule(name) for name in names]
    return None if names is None else model.get_submodule(names)


def attributed(method: Any, configuration: dict[str, Any], **more: Any) -> Any:
    arguments = dict(configuration["attribute_args"])
    if configuration.get("noise_tunnel", False):
        return NoiseTunnel(method).attribute(**arguments, **more)
    return method.attribute(**arguments, **more)


def ours(configuration: dict[str, Any], model: nn.Module) -> Any:
    if InputXGradient in configuration["algorithms"]:
        return ILIN(model)
    neuron = NeuronGradient in configuration["algorithms"]
    return (NeuronILIN if neuron else LayerILIN)(model, layers_of(configuration, model))


def as_tuple(value: Any) -> tuple[Tensor, ...]:
    """All tensors of attributions, of layers and of tuples alike."""
    if isinstance(value, Tensor):
        return (value,)
    return tuple(tensor for item in value for tensor in as_tuple(item))


def rows_of_targets(configuration: dict[str, Any]) -> list[tuple[int, ...]]:
    """One index tuple per example."""
    arguments = configuration["attribute_args"]
    target, rows = arguments["target"], len(as_tuple(arguments["inputs"])[0])
    if isinstance(target, Tensor):
        target = target.tolist()
    if isinstance(target, list) and len(target) == 1:
        target = target * rows
    targets = target if isinstance(target, list) else [target] * rows
    return [t if isinstance(t, tuple) else (t,) for t in targets]


def test_captum_ships_configurations_for_each_of_the_three() -> None:
    counts = {a: len(listing(a)) for a in (InputXGradient, LayerGradientXActivation)}
    assert counts[InputXGradient] >= 13
    assert counts[LayerGradientXActivation] >= 8
    assert len(listing(NeuronGradient)) >= 5
    names = {configuration["name"] for configuration in listing(InputXGradient)}
    assert {"basic_multi_input_multi_target", "basic_multiple_tuple_target_nt"} <= names


# as shipped: Captum's values


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require:UserWarning")
@each(InputXGradient)
def test_configuration_gives_input_x_gradient(configuration: dict[str, Any]) -> None:
    model = copy.deepcopy(configuration["model"])
    torch.manual_seed(0)
    expected = attributed(InputXGradient(model), configuration)
    torch.manual_seed(0)
    found = attributed(ours(configuration, model), configuration)
    assert isinstance(found, type(expected))
    torch.testing.assert_close(as_tuple(found), as_tuple(expected), **ROUNDING)


@each(LayerGradientXActivation)
def test_configuration_gives_layer_gradient_x_activation(configuration: dict[str, Any]) -> None:
    model = copy.deepcopy(configuration["model"])
    captums = LayerGradientXActivation(model, layers_of(configuration, model))
    expected = attributed(captums, configuration)
    found = attributed(ours(configuration, model), configuration)
    assert isinstance(found, type(expected))
    torch.testing.assert_close(as_tuple(found), as_tuple(expected), **ROUNDING)


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require:UserWarning")
@each(NeuronGradient)
def test_configuration_gives_neuron_gradient_times_input(configuration: dict[str, Any]) -> None:
    model = copy.deepcopy(configuration["model"])
    gradient = attributed(NeuronGradient(model, layers_of(configuration, model)), configuration)
    found = attributed(ours(configuration, model), configuration)
    inputs = configuration["attribute_args"]["inputs"]
    assert isinstance(found, type(gradient))
    expected = [g * x for g, x in zip(as_tuple(gradient), as_tuple(inputs), strict=True)]
    torch.testing.assert_close(list(as_tuple(found)), expected, **ROUNDING)


@each(InputXGradient, LayerGradientXActivation, NeuronGradient)
def test_configuration_has_no_delta(configuration: dict[str, Any]) -> None:
    model = copy.deepcopy(configuration["model"])
    _, deltas = attributed(
        ours(configuration, model), configuration, return_convergence_delta=True
    )
    inputs = as_tuple(configuration["attribute_args"]["inputs"])
    size = max(float(value.abs().max()) for value in inputs)
    for delta in as_tuple(deltas):
        assert delta.dim() == 1
        assert delta.abs().max() <= 1e-4 * max(1.0, size)


# on random weights: a dense reference


def randomised(configuration: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The model in float64 with normal weights, and the configuration in float64."""
    model = copy.deepcopy(configuration["model"]).double()
    torch.manual_seed(5)
    for parameter in model.parameters():
        nn.init.normal_(parameter)

    def widened(value: Tensor) -> Tensor:
        return value.double() if value.is_floating_point() else value

    arguments = mapped(configuration["attribute_args"], widened)
    return model, {**configuration, "attribute_args": arguments}


@each(InputXGradient, LayerGradientXActivation, NeuronGradient)
def test_random_weights_give_the_dense_reference(configuration: dict[str, Any]) -> None:
    model, configuration = randomised(configuration)
    method, inputs = ours(configuration, model), configuration["attribute_args"]["inputs"]
    with untouched(model, *as_tuple(inputs), draws=configuration.get("noise_tunnel", False)):
        found = attributed(method, configuration)
    expected = reference(model, configuration)
    assert len(as_tuple(found)) == len(expected)
    for value, wanted in zip(as_tuple(found), expected, strict=True):
        torch.testing.assert_close(value, wanted, **DIFFERENCES)


def returns_a_bias(configuration: dict[str, Any]) -> bool:
    return not configuration.get("noise_tunnel", False)


@each(InputXGradient, LayerGradientXActivation, NeuronGradient, where=returns_a_bias)
def test_random_weights_add_up(configuration: dict[str, Any]) -> None:
    model, configuration = randomised(configuration)
    found, deltas, biases = attributed(
        ours(configuration, model),
        configuration,
        return_convergence_delta=True,
        return_bias=True,
    )
    value = selected_value(model, configuration)
    for delta, bias in zip(as_tuple(deltas), as_tuple(biases), strict=True):
        assert delta.abs().max() <= 1e-12 * value.abs().max().clamp_min(1)
        assert bias.shape == value.shape
    if not isinstance(configuration.get("layer"), list):
        total = sum(tensor.flatten(1).sum(1) for tensor in as_tuple(found)) + biases
        torch.testing.assert_close(total, value, rtol=1e-11, atol=1e-11)


def has_several_targets(configuration: dict[str, Any]) -> bool:
    return len(set(rows_of_targets(configuration))) > 1


@each(InputXGradient, LayerGradientXActivation, where=has_several_targets)
def test_on_random_weights_every_target_counts(configuration: dict[str, Any]) -> None:
    """The reference tells targets apart: ignoring those of single examples would be seen."""
    model, configuration = randomised(configuration)
    arguments = configuration["attribute_args"]
    right = reference(model, configuration)
    targets = rows_of_targets(configuration)
    first = {
        **configuration,
        "attribute_args": {**arguments, "target": list(targets[:1]) * len(targets)},
    }
    wrong = reference(model, first)
    apart = [(a - b).abs().flatten(1).amax(1) for a, b in zip(right, wrong, strict=True)]
    others = [row for row, target in enumerate(targets) if target != targets[0]]
    assert torch.stack(apart).amax(0)[others].min() > 1e-3


def reference(model: nn.Module, configuration: dict[str, Any]) -> list[Tensor]:
    """Value times slope, entry by entry, of what the configuration explains."""
    if LayerGradientXActivation in configuration["algorithms"]:
        names = configuration["layer"]
        return [
            product
            for name in ([names] if isinstance(names, str) else names)
            for product in layer_products(model, configuration, name)
        ]
    inputs = as_tuple(configuration["attribute_args"]["inputs"])

    def value(*steps: Tensor) -> Tensor:
        moved = tuple(x + step for x, step in zip(inputs, steps, strict=True))
        return selected_value(model, configuration, inputs=moved)

    return [x * slope for x, slope in zip(inputs, differences(value, inputs), strict=True)]


def layer_products(model: nn.Module, configuration: dict[str, Any], name: str) -> list[Tensor]:
    layer, seen = model.get_submodule(name), []

    def value(*steps: Tensor) -> Tensor:
        def step_output(module: nn.Module, args: Any, output: Any) -> Any:
            seen[:] = [tensor.clone() for tensor in as_tuple(output)]
            if not steps:
                return None
            moved = tuple(t + s for t, s in zip(seen, steps, strict=True))
            return moved if isinstance(output, tuple) else moved[0]

        handle = layer.register_forward_hook(step_output)
        try:
            return selected_value(model, configuration)
        finally:
            handle.remove()

    value()
    points = list(seen)
    return [a * slope for a, slope in zip(points, differences(value, points), strict=True)]


def differences(value: Callable[..., Tensor], points: Any) -> list[Tensor]:
    """The slope of ``value`` (batch,) in every entry of ``points``, at all rows at once."""
    slopes = []
    for number, point in enumerate(points):
        size, columns = STEP * float(point.abs().max()), []
        for entry in range(point[0].numel()):
            steps = [torch.zeros_like(other) for other in points]
            steps[number].view(len(point), -1)[:, entry] = size
            up, down = value(*steps), value(*[-step for step in steps])
            columns.append((up - down) / (2 * size))
        slopes.append(torch.stack(columns, 1).reshape(point.shape))
    return slopes


@torch.no_grad()
def selected_value(
    model: nn.Module, configuration: dict[str, Any], inputs: Any = None
) -> Tensor:
    """(batch,): the chosen output, or the chosen neuron, of the plain network."""
    arguments = configuration["attribute_args"]
    inputs = as_tuple(arguments["inputs"]) if inputs is None else inputs
    more = arguments.get("additional_forward_args", ())
    seen: list[Tensor] = []
    handles = []
    if NeuronGradient in configuration["algorithms"]:
        layer = model.get_submodule(configuration["layer"])
        handles = [layer.register_forward_hook(lambda m, a, out: seen.append(out.clone()))]
    try:
        outputs = model(*inputs, *(more if isinstance(more, tuple) else (more,)))
    finally:
        for handle in handles:
            handle.remove()
    if handles:
        return selected_neuron(seen[-1], arguments["neuron_selector"])
    rows = zip(outputs, rows_of_targets(configuration), strict=True)
    return torch.stack([row[target] for row, target in rows])


def selected_neuron(value: Tensor, selector: Any) -> Tensor:
    if callable(selector):
        return selector(value)
    index = selector if isinstance(selector, tuple) else (selector,)
    return torch.stack([row[index].sum() for row in value])
