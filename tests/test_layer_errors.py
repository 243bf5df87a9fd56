"""What the layer and neuron methods say to bad input, and that nothing is left behind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import (
    IlinError,
    InputTypeError,
    LayerError,
    LayerILIN,
    LayerTypeError,
    MissingTargetError,
    NeuronILIN,
    NeuronRangeError,
    NeuronSelectorError,
    NonFiniteError,
    NotOfferedError,
    OpaqueModuleError,
    TargetRangeError,
)
from tests.fingerprint import untouched
from tests.networks import TinyTransformer, relu_mlp


@pytest.fixture
def network() -> nn.Sequential:
    return relu_mlp(3, 6, 7, 5)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64)


def explain_layer(model: Any, layer: Any, x: Tensor, **more: Any) -> Any:
    return LayerILIN(model, layer).attribute(x, 1, **more)


def explain_neuron(model: Any, layer: Any, x: Tensor, **more: Any) -> Any:
    if "attribute_to_layer_input" in more:
        more["attribute_to_neuron_input"] = more.pop("attribute_to_layer_input")
    return NeuronILIN(model, layer).attribute(x, lambda value: value.flatten(1)[:, 0], **more)


BOTH = pytest.mark.parametrize("ask", [explain_layer, explain_neuron], ids=["layer", "neuron"])


def assert_refused(
    ask: Any, model: Any, layer: Any, x: Tensor, error: type[IlinError], text: str, **more: Any
) -> None:
    with untouched(model, x), pytest.raises(error) as raised:
        ask(model, layer, x, **more)
    assert text in " ".join(str(raised.value).split())


# layers


@BOTH
@pytest.mark.parametrize(("layer", "named"), [("fc1", "str"), (None, "NoneType"), (3, "int")])
def test_a_layer_that_is_no_module(
    ask: Any, network: nn.Module, x: Tensor, layer: Any, named: str
) -> None:
    text = (
        f"layer is a {named}; expected a module of the model. Pass the module itself, for "
        "example model.get_submodule('encoder.0')."
    )
    assert_refused(ask, network, layer, x, LayerTypeError, text)


def test_no_layers_at_all(network: nn.Module, x: Tensor) -> None:
    assert_refused(
        explain_layer, network, [], x, LayerTypeError, "layer is an empty list: nothing"
    )


@BOTH
def test_a_layer_of_another_model(ask: Any, network: nn.Module, x: Tensor) -> None:
    """A copy, most often: the layer of the original explains the copy's output."""
    text = (
        "The layer Linear is not part of the model that forward_func runs. Pass a module of "
        "the very object that is called, not of a copy: layer=model.get_submodule(...)."
    )
    assert_refused(ask, copy.deepcopy(network), network[2], x, LayerError, text)


class Skipping(nn.Module):
    """Never calls ``spare``; ``detached`` is called, for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.spare, self.detached, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        self.detached(x)
        return self.head(x)


@BOTH
def test_a_layer_that_is_not_reached(ask: Any, x: Tensor) -> None:
    model = Skipping()
    text = (
        "The layer 'spare' (Linear) is not reached: the forward pass at these inputs never "
        "calls it. It is skipped, or only its weights are read, as nn.MultiheadAttention does "
        "with its out_proj. Explain a module that runs, such as the one around it."
    )
    assert_refused(ask, model, model.spare, x, LayerError, text)


def test_a_layer_whose_weights_alone_are_read() -> None:
    model, x = TinyTransformer(batch_first=True), torch.randn(2, 5, 8, dtype=torch.float64)
    layer = model.get_submodule("layers.layers.0.self_attn.out_proj")
    text = "The layer 'layers.layers.0.self_attn.out_proj' (NonDynamicallyQuantizableLinear) is"
    assert_refused(explain_layer, model, layer, x, LayerError, text)


def test_a_layer_whose_weights_another_one_uses() -> None:
    """As the shared embedding of an encoder and a decoder."""
    model, ids = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.tensor([[1, 2]])
    spare = nn.Embedding(9, 4)
    spare.weight = model[0].weight
    model[0].add_module("spare", spare)
    with untouched(model, ids), pytest.raises(LayerError) as error:
        LayerILIN(model, spare).attribute(ids, (0, 1))
    assert str(error.value).endswith("Its weights are also those of '0': explain that.")


@BOTH
def test_without_a_known_model_a_missing_layer_is_not_reached(
    ask: Any, network: nn.Module, x: Tensor
) -> None:
    networks = [network]  # a function's list is not looked into
    assert_refused(
        ask, lambda x: networks[0](x), nn.ReLU(), x, LayerError, "The layer ReLU is not reached"
    )


@BOTH
@pytest.mark.parametrize("call", [2, -3])
def test_a_call_that_does_not_happen(ask: Any, x: Tensor, call: int) -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 4), relu, nn.Linear(4, 4), relu).double()
    text = (
        f"The layer '1' (ReLU) is called 2 times, so there is no call number {call}. Calls are "
        "numbered from 0; -1 is the last."
    )
    assert_refused(ask, model, relu, x, LayerError, text, call=call)


def test_a_layer_that_the_output_does_not_use(x: Tensor) -> None:
    model = Skipping()
    text = (
        "The output does not depend on the output of the layer Linear through any "
        "differentiable path: it is not used, detached, or turned into integers. Choose a "
        "layer on the way to the output."
    )
    assert_refused(explain_layer, model, model.detached, x, LayerError, text)


def test_a_layer_that_only_gates_has_weight_zero(x: Tensor) -> None:
    """It is used, though in steps: no error, and what it does is all in the bias."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.head = nn.Sigmoid(), nn.Linear(3, 2).double()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x * self.gate(x.detach()).round())

    model = Gated()
    attributions, bias = LayerILIN(model, model.gate).attribute(x, 1, return_bias=True)
    assert torch.equal(attributions, torch.zeros_like(x))
    torch.testing.assert_close(bias, model(x)[:, 1].detach(), rtol=1e-12, atol=1e-13)


class Returning(nn.Module):
    """A layer that returns what a function of its input is."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.inner = Applying(function)
        self.head = nn.Linear(3, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return self.head(x)


class Applying(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@BOTH
@pytest.mark.parametrize(
    ("function", "held"),
    [
        (lambda x: "text", "str"),
        (lambda x: None, "NoneType"),
        (lambda x: (None, 3), "tuple"),
        (lambda x: x.argmax(1), "torch.int64"),
        (lambda x: (x > 0, x.argmax(1)), "torch.bool, torch.int64"),
    ],
)
def test_a_layer_without_floating_point_output(
    ask: Any, x: Tensor, function: Any, held: str
) -> None:
    text = (
        f"The output of the layer Applying is {held}; expected a tensor of floating point, or "
        "a tuple, list or dict that holds some. Explain a module before or after it, or the "
        "other side of this one (attribute_to_layer_input=True)."
    )
    model = Returning(function)
    assert_refused(ask, model, model.inner, x, LayerTypeError, text)


def test_the_input_of_an_embedding_layer() -> None:
    model, ids = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.tensor([[1, 2]])
    text = (
        "The input of the layer Embedding is torch.int64; expected a tensor of floating point, "
        "or a tuple, list or dict that holds some. Explain a module before or after it, or the "
        "other side of this one (attribute_to_layer_input=False)."
    )
    assert_refused(
        explain_layer, model, model[0], ids, LayerTypeError, text, attribute_to_layer_input=True
    )


@BOTH
def test_the_input_of_a_layer_called_by_keyword(ask: Any, x: Tensor) -> None:
    linear = nn.Linear(3, 2).double()
    text = (
        "The layer Linear is called with keyword arguments only, which its input does not "
        "count. Explain the output of the module before it."
    )
    assert_refused(
        ask,
        lambda x: linear(input=x),
        linear,
        x,
        LayerTypeError,
        text,
        attribute_to_layer_input=True,
    )


def test_a_layer_s_value_that_is_not_finite(x: Tensor) -> None:
    model = nn.Sequential(Applying(lambda x: x / 0), Applying(torch.sigmoid))
    text = (
        "The output of the layer '0' (Applying) (shape (4, 3)) holds 12 NaN or infinite values"
    )
    assert_refused(explain_layer, model, model[0], x, NonFiniteError, text)


# calls


@BOTH
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_part_is_refused(ask: Any, network: nn.Sequential, x: Tensor) -> None:
    model = nn.Sequential(network, torch.jit.script(nn.Sequential(nn.ReLU())))
    with (
        untouched(network, x),
        pytest.raises(OpaqueModuleError, match="module '1' is scripted"),
    ):
        ask(model, network[1], x)


@BOTH
@pytest.mark.parametrize("as_model", [False, True], ids=["device_ids", "DataParallel"])
def test_several_devices_are_refused(
    ask: Any, network: nn.Sequential, x: Tensor, as_model: bool
) -> None:
    model = nn.DataParallel(network)
    method = (LayerILIN if ask is explain_layer else NeuronILIN)(
        model if as_model else network, network[1], device_ids=None if as_model else [0, 1]
    )
    if as_model:
        model.device_ids = [0, 1]  # as it is where there are two
    with untouched(network, x), pytest.raises(NotOfferedError) as error:
        method.attribute(x, 1)
    assert str(error.value) == (
        "The model is replicated on devices [0, 1] (nn.DataParallel), whose threads run ops "
        "that cannot be seen from here, so none would be frozen. Pass the model itself, "
        "model.module, on one device, and leave device_ids out."
    )


def test_inputs_that_are_no_tensors(network: nn.Sequential) -> None:
    for inputs, named in (([1.0, 2.0], "list"), ((torch.ones(2, 3).double(), 3), "int")):
        with pytest.raises(InputTypeError, match=f"inputs is or holds a {named}; expected ten"):
            LayerILIN(network, network[1]).attribute(inputs, 1)


def test_targets_that_do_not_fit(network: nn.Sequential, x: Tensor) -> None:
    method = LayerILIN(network, network[1])
    with untouched(network, x), pytest.raises(TargetRangeError, match="The target 9 is out of"):
        method.attribute(x, 9)
    with untouched(network, x), pytest.raises(MissingTargetError, match="No target was given"):
        method.attribute(x)


@BOTH
def test_a_forward_function_that_cannot_be_called(
    ask: Any, network: nn.Sequential, x: Tensor
) -> None:
    with pytest.raises(TypeError, match="forward_func has type int, which cannot be called"):
        ask(3, network[1], x)


def test_a_forward_function_of_no_arguments_has_no_neurons(
    network: nn.Sequential, x: Tensor
) -> None:
    with pytest.raises(TypeError, match="forward_func takes no arguments, so the inputs"):
        NeuronILIN(lambda: network(x), network[1]).attribute(x, 1)


def test_gradient_options_that_would_have_no_effect(network: nn.Sequential, x: Tensor) -> None:
    method = LayerILIN(network, network[1])
    expected = method.attribute(x, 1)
    found = method.attribute(x, 1, grad_kwargs={"allow_unused": True})
    assert torch.equal(found, expected)
    with pytest.raises(
        NotOfferedError, match=r"grad_kwargs \['create_graph'\] are not offered"
    ):
        method.attribute(x, 1, grad_kwargs={"create_graph": True, "allow_unused": True})


def test_what_is_not_offered(network: nn.Sequential, x: Tensor) -> None:
    method = LayerILIN(network, network[1])
    with pytest.raises(NotImplementedError, match="attribute_future is not implemented"):
        method.attribute_future()
    with pytest.raises(NotImplementedError, match="does not tell which example an element"):
        method.compute_convergence_delta(method.attribute(x, 1), None, x, 1)


# neurons


@pytest.mark.parametrize(
    ("selector", "error", "text"),
    [
        (
            6,
            NeuronRangeError,
            "The neuron_selector 6 is out of range: the layer's units have shape (6,), so "
            "indices of this dimension run from 0 to 5. Choose a unit that exists.",
        ),
        ((-7,), NeuronRangeError, "The neuron_selector (-7,) is out of range"),
        (
            slice(6, 9),
            NeuronRangeError,
            "The neuron_selector slice(6, 9, None) is out of range",
        ),
        (
            (1, 2),
            NeuronSelectorError,
            "The neuron_selector (1, 2) has 2 indices, but the layer has units of 1 "
            "dimensions, (6,). Pass an index for each; a slice sums over a dimension.",
        ),
        (
            "3",
            NeuronSelectorError,
            "The neuron_selector '3' has a form that is not known. Use an int, a tuple of ints "
            "and slices, or a function that returns one value per example.",
        ),
        (True, NeuronSelectorError, "The neuron_selector True has a form that is not known"),
        (
            lambda value: value.sum(),
            NeuronSelectorError,
            "The neuron_selector function returned (); expected a tensor of one value per "
            "example, (batch,). Choose one unit, or sum over the others, for example `lambda "
            "value: value[:, 3]` or `lambda value: value.flatten(1).sum(1)`.",
        ),
        (lambda value: value[:, :2], NeuronSelectorError, "function returned (4, 2); expected"),
        (lambda value: 3, NeuronSelectorError, "function returned int; expected a tensor"),
    ],
)
def test_selectors_that_choose_no_unit(
    network: nn.Sequential, x: Tensor, selector: Any, error: type[IlinError], text: str
) -> None:
    with untouched(network, x), pytest.raises(error) as raised:
        NeuronILIN(network, network[1]).attribute(x, selector)
    assert text in str(raised.value)
    assert isinstance(raised.value, IndexError) is (error is NeuronRangeError)


def test_an_index_does_not_choose_among_several_tensors(x: Tensor) -> None:
    model = Returning(lambda x: (x, 2 * x))
    with pytest.raises(NeuronSelectorError) as error:
        NeuronILIN(model, model.inner).attribute(x, 1)
    assert str(error.value) == (
        "The layer's value holds 2 tensors, so the neuron_selector 1 does not tell which is "
        "meant. Pass a function, for example `lambda values: values[0][:, 3]`."
    )
    chosen = NeuronILIN(model, model.inner).attribute(x, lambda values: values[1][:, 2])
    expected = torch.zeros_like(x)
    expected[:, 2] = 2 * x[:, 2]
    torch.testing.assert_close(chosen, expected)


def test_token_ids_have_no_neuron_attributions() -> None:
    model, ids = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.tensor([[1, 2]])
    with pytest.raises(InputTypeError, match=r'LayerILIN\(model, model.get_submodule\("0"\)\)'):
        NeuronILIN(model, model[1]).attribute(ids, (0, 1))
