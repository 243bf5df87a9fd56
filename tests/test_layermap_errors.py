"""What ``AffineMap.layer`` says to bad input, and that nothing is left behind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import (
    IlinError,
    LayerError,
    LayerTypeError,
    MissingTargetError,
    NonFiniteError,
    NotExactError,
    OperandError,
    linearize,
)
from tests.fingerprint import untouched
from tests.networks import ConvNet, TinyTransformer, relu_mlp, residual_convnet


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def assert_refused(
    model: Any, layer: Any, x: Tensor, error: type[IlinError], text: str, **more: Any
) -> None:
    affine_map = linearize(model, x)
    with untouched(model, x), pytest.raises(error) as raised:
        affine_map.layer(layer, **more)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("1.bdy", "Did you mean '1.body' or '1.body.3' or '1.body.2'?"),
        ("body", "Did you mean '1.body'?"),
        (
            "encoder",
            "Its 10 modules are '0', '1', '1.body', '1.body.0', '1.body.1', …: see "
            "named_modules().",
        ),
    ],
)
def test_a_path_that_does_not_exist(path: str, advice: str) -> None:
    text = f"There is no layer {path!r} in the model (Sequential). {advice}"
    assert_refused(residual_convnet(), path, double(1, 3, 12, 12), LayerError, text)


def test_a_path_in_a_model_without_modules() -> None:
    text = (
        "There is no layer '0' in the model (Linear). It holds no modules; '' is the model "
        "itself."
    )
    assert_refused(nn.Linear(3, 2).double(), "0", double(1, 3), LayerError, text)


def test_few_modules_are_all_listed() -> None:
    text = (
        "There is no layer 'head' in the model (Sequential). Its 3 modules are '0', '1', '2': "
        "see named_modules()."
    )
    assert_refused(relu_mlp(3, 4, 2), "head", double(1, 3), LayerError, text)


def test_a_path_where_forward_func_is_a_function() -> None:
    network = relu_mlp(3, 4, 2)
    text = (
        "The layer is given as the path '1', but forward_func is a function, not a module, so "
        "it has no paths. Pass the module itself: layer(model.get_submodule('1'))."
    )
    assert_refused(lambda x: network(x), "1", double(1, 3), LayerError, text)


@pytest.mark.parametrize(("layer", "named"), [(None, "NoneType"), (3, "int")])
def test_neither_a_path_nor_a_module(layer: Any, named: str) -> None:
    text = (
        f"The layer is given as a {named}; expected the path of a module, as "
        "model.named_modules() lists it, or the module itself."
    )
    assert_refused(relu_mlp(3, 4, 2), layer, double(1, 3), LayerTypeError, text)


@pytest.mark.parametrize(("paths", "named"), [("1", "str"), (nn.Sequential(), "Sequential")])
@pytest.mark.parametrize("ask", ["layers", "matrices", "shares"])
def test_paths_that_are_no_list(paths: Any, named: str, ask: str) -> None:
    affine_map = linearize(relu_mlp(3, 4, 2), double(1, 3))
    with pytest.raises(LayerTypeError) as error:
        getattr(affine_map, ask)(paths)
    assert str(error.value) == (
        f"paths is a {named}; expected a list of paths, as model.named_modules() lists them, "
        "or of modules. Pass [...], also for a single one."
    )


def test_a_layer_of_another_model() -> None:
    network = relu_mlp(3, 4, 2)
    text = (
        "The layer ReLU is not part of the model that forward_func runs. Pass a module of the "
        "very object that is called, not of a copy: layer=model.get_submodule(...)."
    )
    assert_refused(network, copy.deepcopy(network)[1], double(1, 3), LayerError, text)


class Odd(nn.Module):
    """Layers that are not called, not used, constant, or infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.spare, self.unused, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.table, self.mask = nn.Embedding(3, 3), Masking()
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        self.unused(x)
        return self.head(torch.exp(self.mask(x)) + self.table(torch.arange(3))[0])


class Masking(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.masked_fill(x < 10, -torch.inf)


def test_a_layer_that_is_not_called() -> None:
    text = (
        "The layer 'spare' (Linear) is not reached: the forward pass at these inputs never "
        "calls it. It is skipped, or only its weights are read, as nn.MultiheadAttention does "
        "with its out_proj. Explain a module that runs, such as the one around it."
    )
    assert_refused(Odd(), "spare", double(2, 3), LayerError, text)


def test_a_layer_that_does_not_depend_on_the_inputs() -> None:
    text = (
        "The output of the layer 'table' (Embedding) does not depend on the inputs, so it is "
        "constant in this map, and what it adds to the output is in the bias: see bias_ledger. "
        "LayerILIN explains the output by a layer's value alone."
    )
    assert_refused(Odd(), "table", double(2, 3), LayerError, text)


def test_a_layer_whose_value_is_not_finite() -> None:
    model, x = Odd(), double(2, 3)
    affine_map = linearize(model, x)
    text = r"^The output of the layer 'mask' \(Masking\) \(shape \(2, 3\)\) holds 6 NaN or inf"
    with untouched(model, x), pytest.raises(NonFiniteError, match=text):
        affine_map.layer("mask")


def test_a_layer_that_the_output_does_not_use() -> None:
    model, x = Odd(), double(2, 3)
    layer = linearize(model, x).layer("unused")
    with untouched(model, x), pytest.raises(LayerError) as error:
        layer.contributions(1)
    assert str(error.value) == (
        "The output does not depend on the output of the layer 'unused' (Linear) through any "
        "differentiable path: it is not used, detached, or turned into integers. Choose a "
        "layer on the way to the output."
    )


def test_a_layer_that_is_called_several_times() -> None:
    text = (
        "The layer 'relu' (ReLU) is called 2 times, and call does not say which call is meant. "
        "Pass call=0 for the first up to call=1 for the last, or give each place in the model "
        "a module of its own."
    )
    assert_refused(ConvNet(), "relu", double(1, 3, 12, 12), LayerError, text)


@pytest.mark.parametrize("call", ["0", 1.0, True])
def test_a_call_that_is_no_number(call: Any) -> None:
    text = (
        f"call is a {type(call).__name__}; expected an int, the number of one of the 2 calls "
        "of the layer 'relu' (ReLU). Pass 0 for the first, -1 for the last."
    )
    assert_refused(ConvNet(), "relu", double(1, 3, 12, 12), LayerTypeError, text, call=call)


@pytest.mark.parametrize(("path", "times"), [("relu", "2 times"), ("head", "once")])
@pytest.mark.parametrize("call", [2, -3])
def test_a_call_that_does_not_happen(path: str, times: str, call: int) -> None:
    model = ConvNet()
    text = (
        f"The layer {path!r} ({type(model.get_submodule(path)).__name__}) is called {times}, "
        f"so there is no call number {call}. Calls are numbered from 0; -1 is the last."
    )
    assert_refused(model, path, double(1, 3, 12, 12), LayerError, text, call=call)


def test_the_input_of_a_layer_called_by_keyword() -> None:
    linear = nn.Linear(3, 2).double()
    text = (
        "The layer Linear is called with keyword arguments only, which its input does not "
        "count. Explain the output of the module before it."
    )
    affine_map = linearize(lambda x: linear(input=x), double(2, 3))
    with untouched(linear), pytest.raises(LayerTypeError) as error:
        affine_map.layer(linear, at_input=True)
    assert str(error.value) == text


def test_a_layer_without_floating_point_output() -> None:
    class Choosing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.argmax(1)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.choosing = Choosing()

        def forward(self, x: Tensor) -> Tensor:
            return x * self.choosing(x)[:, None]

    text = (
        "The output of the layer Choosing is torch.int64; expected a tensor of floating point, "
        "or a tuple, list or dict that holds some. Explain a module before or after it, or the "
        "other side of this one (at_input=True)."
    )
    assert_refused(Model(), "choosing", double(2, 3), LayerTypeError, text)


OTHERS = (
    "The outputs are others when the layer hands on a copy of its value. Either the forward "
    "function gives other outputs at each call (dropout in training mode, chance, a counter), "
    "or it writes into the value and counts on another tensor sharing its memory. Put the "
    "model into evaluation mode, use what the layer returns, or ask for the other side of the "
    "layer (at_input)."
)


def test_a_function_that_gives_other_outputs_at_each_call() -> None:
    network, calls = relu_mlp(3, 4, 2), []

    def drifting(x: Tensor) -> Tensor:
        calls.append(None)
        return network(x) + len(calls)

    affine_map = linearize(drifting, double(2, 3))
    with untouched(network), pytest.raises(NotExactError) as error:
        affine_map.layer(network[1])
    assert str(error.value) == OTHERS


class Ignoring(nn.Module):
    """Uses what its layer wrote into, not what it returned."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.relu, self.head = (
            nn.Linear(3, 4),
            nn.ReLU(inplace=True),
            nn.Linear(4, 2),
        )
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        self.relu(y)
        return self.head(y)


def test_a_layer_whose_write_alone_is_used() -> None:
    model = Ignoring()
    assert_refused(model, "relu", double(2, 3), NotExactError, OTHERS, at_input=True)
    with pytest.raises(LayerError, match="The output does not depend on the output of the lay"):
        linearize(model, double(2, 3)).layer("relu").contributions(1)


def test_operands_are_said_to_be_shaped_like_the_layer() -> None:
    layer = linearize(relu_mlp(3, 6, 5), double(4, 3)).layer("1")
    with pytest.raises(OperandError) as error:
        layer.above @ double(4, 3)
    assert str(error.value) == (
        "The operand must be shaped like the layer, shape (4, 6), but got shape (4, 3). "
        "Further dimensions, which count vectors, go in front."
    )


def test_a_target_is_needed() -> None:
    layer = linearize(relu_mlp(3, 6, 5), double(4, 3)).layer("1")
    with pytest.raises(MissingTargetError, match="No target was given"):
        layer.contributions()


def test_directions_of_a_layer_whose_first_dimension_is_not_the_batch() -> None:
    model = TinyTransformer(batch_first=False)
    layer = linearize(model, double(2, 5, 8)).layer("layers")
    with pytest.raises(NotImplementedError, match="the first dimensions of Operator"):
        layer.above.svd(1)
