"""``AffineMap.matrices``: each layer of a chain, against the matrix of its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import captum_ilin.passage
from captum_ilin import BudgetError, LayerError, LayerMatrix, linearize
from tests.fingerprint import untouched
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp, residual_convnet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDING = {"rtol": 1e-11, "atol": 1e-12}  # float64, sums of some hundred products


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def smooth() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4), nn.Tanh()).double()


@pytest.mark.parametrize("build", [lambda: relu_mlp(3, 6, 4), smooth])
def test_each_layer_is_the_matrix_of_its_definition(build: Callable[[], nn.Sequential]) -> None:
    """Of a linear layer its weights, of an activation the diagonal of φ(z)/z."""
    network, x = build(), double(4, 3)
    found = linearize(network, x).matrices()
    assert [stage.path for stage in found] == [name for name, _ in network.named_children()]
    for row in range(len(x)):
        z = x[row]
        for layer, stage in zip(network, found, strict=True):
            y = layer(z).detach()
            if isinstance(layer, nn.Linear):
                matrix, bias = layer.weight.detach(), layer.bias.detach()
            else:
                matrix, bias = torch.diag(y / z), 0 * y
            torch.testing.assert_close(stage.matrix[row], matrix, **ROUNDING)
            torch.testing.assert_close(stage.bias[row], bias, **ROUNDING)
            z = y


def assert_composed(affine_map: Any, stages: Sequence[LayerMatrix]) -> None:
    """W = W_n ⋯ W_1 and b = W_n (⋯ + b_(n−1)) + b_n, in each row."""
    batch, outputs = len(affine_map.outputs), affine_map.outputs[0].numel()
    weight = affine_map.weight().reshape(batch, outputs, -1)
    bias = affine_map.bias().reshape(batch, outputs)
    for row in range(batch):
        W = torch.eye(weight.shape[2], dtype=weight.dtype)
        b = torch.zeros(weight.shape[2], dtype=weight.dtype)
        for stage in stages:
            W, b = stage.matrix[row] @ W, stage.matrix[row] @ b + stage.bias[row]
        torch.testing.assert_close(W, weight[row], **ROUNDING)
        torch.testing.assert_close(b, bias[row], **ROUNDING)


class Functional(nn.Module):
    """Activations between the layers and after the last, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3), nn.Linear(48, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.second(F.relu_(self.first(x)).flatten(1)))


def reused() -> nn.Sequential:
    relu = nn.ReLU()
    return nn.Sequential(nn.Linear(3, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 2)).double()


CHAINS: dict[str, tuple[Callable[[], tuple[nn.Module, Tensor]], Any, list[str]]] = {
    "relu_mlp": (lambda: (relu_mlp(3, 6, 7, 5), double(4, 3)), None, list("01234")),
    "some of it": (lambda: (relu_mlp(3, 6, 7, 5), double(4, 3)), ["2", "0"], ["0", "2", ""]),
    "none of it": (lambda: (relu_mlp(3, 6, 7, 5), double(4, 3)), [], [""]),
    "reused": (lambda: (reused(), double(4, 3)), None, ["0", "1", "2", "1#2", "4"]),
    "functional": (
        lambda: (Functional(), double(2, 1, 6, 6)),
        ["first", "second"],
        ["first", "second", ""],
    ),
    "convnet": (
        lambda: (ConvNet(), double(2, 3, 12, 12)),
        ["first", "norm", "pool", "second"],
        ["first", "norm", "pool", "second", ""],
    ),
    "residual blocks": (
        lambda: (residual_convnet(), double(1, 3, 12, 12)),
        ["0", "1", "2", "4"],
        ["0", "1", "2", "4"],
    ),
    "inside a block": (
        lambda: (residual_convnet()[1].body, double(1, 6, 5, 5)),
        None,
        ["0", "1", "2", "3"],
    ),
    "transformer": (
        lambda: (TinyTransformer(batch_first=True), double(2, 5, 8)),
        ["layers.layers.0", "layers.layers.1", "head"],
        ["layers.layers.0", "layers.layers.1", "head"],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_their_product_is_the_network(name: str) -> None:
    build, paths, expected = CHAINS[name]
    network, x = build()
    with untouched(network, x):
        affine_map = linearize(network, x)
        stages = affine_map.matrices(paths)
    assert [stage.path for stage in stages] == expected
    assert not any(tensor.requires_grad for stage in stages for tensor in stage[1:])
    assert_composed(affine_map, stages)


def test_modules_and_functions() -> None:
    network, x = relu_mlp(3, 6, 5), double(4, 3)
    affine_map = linearize(lambda x: 2 * network(x), x)
    stages = affine_map.matrices([network[1], network[2]])
    assert [stage.path for stage in stages] == ["1", "2", ""]
    assert_composed(affine_map, stages)
    torch.testing.assert_close(stages[-1].matrix[0], 2 * torch.eye(5).double())


def test_without_closing_a_layer_its_bias_would_count_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows notice what does not add up, before a user could."""
    affine_map = linearize(relu_mlp(3, 6, 5), double(4, 3))
    monkeypatch.setattr(captum_ilin.passage, "_nothing", lambda gradients: gradients)
    with pytest.raises(LayerError, match="'1' in one example depends on other examples too"):
        affine_map.matrices()


@pytest.mark.parametrize("part", ["matrix", "bias"])
def test_the_product_notices_another_matrix(part: str) -> None:
    affine_map = linearize(relu_mlp(3, 6, 5), double(4, 3))
    stages = affine_map.matrices()
    stages[1] = stages[1]._replace(**{part: getattr(stages[1], part) + 1e-6})
    with pytest.raises(AssertionError):
        assert_composed(affine_map, stages)


# bad input


def message(model: Any, x: Any, error: type[Exception], paths: Any = None, **more: Any) -> str:
    affine_map = linearize(model, x)
    with untouched(model), pytest.raises(error) as raised:
        affine_map.matrices(paths, **more)
    return str(raised.value)


def test_a_residual_path_is_no_chain() -> None:
    model, x = residual_convnet(), double(1, 3, 12, 12)
    assert message(model, x, LayerError, ["0", "1.body.0", "1.body", "4"]) == (
        "The value of '4' depends on the value of '0' also along a path that passes '1.body' "
        "by, such as a residual path, so the network is no chain there and no product of "
        "matrices. Leave '1.body' out of paths, or ask layer('1.body'), whose `around` is what "
        "passes by."
    )


def test_a_residual_path_from_the_inputs_to_the_output() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 3).double()

        def forward(self, x: Tensor) -> Tensor:
            return x + self.body(x)

    assert message(Block(), double(2, 3), LayerError, ["body"]).startswith(
        "The output depends on the inputs also along a path that passes 'body' by, such as"
    )


def test_a_model_that_does_not_tell_its_chain() -> None:
    assert message(ConvNet(), double(1, 3, 12, 12), LayerError) == (
        "No paths were given, and the model is a ConvNet, not an nn.Sequential, so it does not "
        "tell which of its modules follow one another. Pass paths=[...], the modules to cut it "
        "after."
    )


def test_several_inputs() -> None:
    inputs = double(4, 3), double(4, 2)
    assert message(TwoInputs().double(), inputs, LayerError, ["left"]) == (
        "The network has 2 inputs; a chain of matrices starts from one. Pass the others in "
        "additional_forward_args, which are held constant."
    )


def test_more_numbers_than_allowed() -> None:
    network, x = relu_mlp(3, 6, 7, 5), double(4, 3)  # 18 + 36 + 42 + 49 + 35 of each example
    text = (
        "The matrices of 4 examples hold 720 numbers, but max_elements is {}. The largest is "
        "that of '3', 7 × 7. {}"
    )
    assert message(network, x, BudgetError, max_elements=719) == text.format(
        719, "3 of the 4 examples would fit."
    )
    assert message(network, x, BudgetError, max_elements=100) == text.format(
        100, "One example needs max_elements=180; fewer paths may need less."
    )
    assert len(linearize(network, x).matrices(max_elements=720)) == 5


def test_the_default_limit_is_for_small_networks() -> None:
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.repeat(1, 4)

    text = message(nn.Sequential(Wide()), torch.ones(1, 1600), BudgetError)
    assert text.startswith(
        "The matrices of 1 examples hold 10240000 numbers, but max_elements i"
    )


def test_a_layout_without_the_batch_in_front() -> None:
    model, x = TinyTransformer(batch_first=False), double(2, 5, 8)
    assert message(model, x, LayerError, ["layers"]) == (
        "The value of 'layers' has shape (5, 2, 8); expected (2, ...), the batch of 2 first, "
        "so that each example has a matrix of its own. Leave it out of paths: cut where the "
        "batch is the first dimension."
    )


def test_a_layout_that_only_looks_like_the_batch_in_front() -> None:
    model, x = TinyTransformer(batch_first=False), double(5, 5, 8)
    assert message(model, x, LayerError, ["layers"]) == (
        "The value of 'layers' in one example depends on other examples too, or its first "
        "dimension is not the batch, so no example has a matrix of its own. Put the model into "
        "evaluation mode, or explain one example at a time."
    )


def test_a_layer_that_returns_several_tensors() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x[:, :2] * x[:, :2], x[:, 2:] * x[:, 2:]

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.halves = Halves()

        def forward(self, x: Tensor) -> Tensor:
            left, right = self.halves(x)
            return left - right

    assert message(Model(), double(2, 4), LayerError, ["halves"]) == (
        "The value of 'halves' holds 2 tensors; a matrix takes one. Leave it out of paths, and "
        "cut at modules inside it or after it."
    )


def test_a_path_that_does_not_exist() -> None:
    text = message(relu_mlp(3, 4, 2), double(2, 3), LayerError, ["0", "head"])
    assert text.startswith("There is no layer 'head' in the model (Sequential).")
