"""``AffineMap.layer``: below, above and around a layer, against matrices cut by hand.

References come from products of a small network's own matrices, or from dense Jacobians of the
frozen network cut in two by a hook that puts a free value in the layer's place.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import captum_ilin.layergraph
import captum_ilin.layermap
import captum_ilin.passage
from captum_ilin import TANGENT_RULES, NotExactError, frozen, in_double, linearize
from tests.fingerprint import untouched
from tests.laws_of_layers import assert_layer_laws
from tests.networks import (
    ConvNet,
    TinyTransformer,
    TwoInputs,
    dense_relu_map,
    relu_mlp,
    residual_convnet,
    smooth_mlp,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin import LayerMap

ROUNDING = {"rtol": 1e-11, "atol": 1e-12}  # float64, sums of some hundred products


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def dense(operator: Any) -> Tensor:
    """(*codomain, *domain), column by column."""
    (pattern,) = operator.domain.patterns
    basis = torch.eye(pattern.numel(), dtype=pattern.dtype).reshape(-1, *pattern.shape)
    columns = operator @ basis
    return columns.movedim(0, -1).unflatten(-1, pattern.shape)


def blocks(matrix: Tensor) -> Tensor:
    """(batch, out, batch, in) → (batch, out, in); what is off the diagonal is zero."""
    rows = range(len(matrix))
    diagonal = torch.stack([matrix[row, :, row] for row in rows])
    assert torch.count_nonzero(matrix) == torch.count_nonzero(diagonal)
    return diagonal


# against explicit matrices


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
def test_every_layer_of_a_relu_network(position: int, at_input: bool) -> None:
    network, x = relu_mlp(3, 6, 7, 5), double(4, 3)
    cut = position if at_input else position + 1
    value = network[:cut](x).detach()
    below, below_bias = dense_relu_map(network[:cut], x)
    above, above_bias = dense_relu_map(network[cut:], value)
    layer = linearize(network, x).layer(str(position), at_input=at_input)
    torch.testing.assert_close(layer.value, value, **ROUNDING)
    torch.testing.assert_close(blocks(dense(layer.below)), below, **ROUNDING)
    torch.testing.assert_close(blocks(dense(layer.above)), above, **ROUNDING)
    torch.testing.assert_close(layer.below_bias, below_bias, **ROUNDING)
    torch.testing.assert_close(layer.around_bias, above_bias, **ROUNDING)
    assert not torch.count_nonzero(dense(layer.around))
    found = layer.contributions(3)
    products = torch.einsum("bai,bi->ba", below, x)
    torch.testing.assert_close(found.units, above[:, 3] * value, **ROUNDING)
    torch.testing.assert_close(found.features, above[:, 3] * products, **ROUNDING)
    torch.testing.assert_close(found.bias, above[:, 3] * below_bias, **ROUNDING)
    torch.testing.assert_close(found.around_bias, above_bias[:, 3], **ROUNDING)
    assert not torch.count_nonzero(found.around_features)


class Block(nn.Module):
    """C(x + B relu(A x + a) + b) + c: a residual branch of two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 4)
        self.head = nn.Linear(4, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.second(F.relu(self.first(x))))


@pytest.mark.parametrize(
    ("path", "at_input"), [("first", False), ("first", True), ("second", False)]
)
def test_a_residual_path_passes_the_branch_by(path: str, at_input: bool) -> None:
    model, x = Block(), double(5, 4)
    layer = linearize(model, x).layer(path, at_input=at_input)
    found, around = layer.contributions(1), blocks(dense(layer.around))
    A, B, C = (m.weight.detach() for m in (model.first, model.second, model.head))
    a, b, c = (m.bias.detach() for m in (model.first, model.second, model.head))
    for row in range(5):
        gate = torch.diag((A @ x[row] + a > 0).double())
        if at_input:
            above, below, below_bias = C @ B @ gate @ A, torch.eye(4).double(), 0 * x[row]
            constant = C @ (B @ gate @ a + b) + c
        elif path == "first":
            above, below, below_bias = C @ B @ gate, A, a
            constant = C @ b + c
        else:
            above, below, below_bias = C, B @ gate @ A, B @ gate @ a + b
            constant = c
        value = below @ x[row] + below_bias
        pairs = [
            (layer.value[row], value),
            (found.units[row], above[1] * value),
            (found.features[row], above[1] * (below @ x[row])),
            (found.bias[row], above[1] * below_bias),
            (found.through[row], above[1] @ value),
            (found.around_features[row], C[1] @ x[row]),
            (found.around_bias[row], constant[1]),
            (layer.around_bias[row], constant),
            (around[row], C),
        ]
        for got, wanted in pairs:
            torch.testing.assert_close(got, wanted, **ROUNDING)


# against Jacobians of the network cut by hand


def transformer(*, batch_first: bool) -> tuple[nn.Module, Tensor]:
    return TinyTransformer(batch_first=batch_first), double(2, 5, 8)


CUTS: dict[str, tuple[Callable[[], tuple[nn.Module, Tensor]], str]] = {
    "gelu": (lambda: (smooth_mlp(), double(3, 3)), "1"),
    "convolution": (lambda: (ConvNet(), double(2, 3, 12, 12)), "second"),
    "residual branch": (lambda: (residual_convnet(), double(1, 3, 12, 12)), "1.body"),
    "in place": (lambda: (residual_convnet(), double(1, 3, 12, 12)), "2"),
    "attention": (lambda: transformer(batch_first=True), "layers.layers.0.norm1"),
    "tokens first": (lambda: transformer(batch_first=False), "layers.layers.0.linear2"),
}


def with_value(model: nn.Module, path: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The network as a function of its input and of the layer's value, which is put in."""

    def forward(x: Tensor, value: Tensor) -> Tensor:
        hook = model.get_submodule(path).register_forward_hook(lambda *_: value.clone())
        try:
            return model(x)
        finally:
            hook.remove()

    return forward


def value_of(model: nn.Module, path: str) -> Callable[[Tensor], Tensor]:
    """The layer's value as a function of the input."""

    def forward(x: Tensor) -> Tensor:
        values: list[Tensor] = []
        layer = model.get_submodule(path)
        hook = layer.register_forward_hook(lambda *args: values.append(args[-1].clone()))
        try:
            model(x)
        finally:
            hook.remove()
        return values[-1]

    return forward


@pytest.mark.parametrize("name", CUTS)
def test_operators_are_jacobians_of_the_cut_network(name: str) -> None:
    build, path = CUTS[name]
    model, x = build()
    layer = linearize(model, x).layer(path)
    value = value_of(model, path)(x).detach()
    torch.testing.assert_close(layer.value, value, **ROUNDING)
    below = torch.autograd.functional.jacobian(frozen(value_of(model, path)), x)
    around, above = torch.autograd.functional.jacobian(
        frozen(with_value(model, path)), (x, value)
    )
    v, a, u = double(*x.shape), double(*value.shape), torch.randn_like(model(x))
    out, mid = u.dim(), value.dim()
    torch.testing.assert_close(layer.below @ v, torch.tensordot(below, v, v.dim()), **ROUNDING)
    torch.testing.assert_close(layer.above @ a, torch.tensordot(above, a, mid), **ROUNDING)
    torch.testing.assert_close(
        layer.around @ v, torch.tensordot(around, v, v.dim()), **ROUNDING
    )
    torch.testing.assert_close(a @ layer.below, torch.tensordot(a, below, mid), **ROUNDING)
    torch.testing.assert_close(u @ layer.above, torch.tensordot(u, above, out), **ROUNDING)
    torch.testing.assert_close(u @ layer.around, torch.tensordot(u, around, out), **ROUNDING)


# the laws, and specimens that break them


NETWORKS: dict[str, tuple[Callable[[], tuple[nn.Module, Tensor]], list[str]]] = {
    "smooth_mlp": (lambda: (smooth_mlp(), double(3, 3)), ["0", "1", "2", ""]),
    "block": (lambda: (Block(), double(5, 4)), ["first", "second", "head"]),
    "convnet": (
        lambda: (ConvNet(), double(2, 3, 12, 12)),
        ["first", "norm", "pool", "second", "head"],
    ),
    "residual_convnet": (
        lambda: (residual_convnet(), double(2, 3, 12, 12)),
        ["0", "1", "1.body", "1.body.1", "1.body.2", "1.body.3", "2", "3"],
    ),
    "transformer": (
        lambda: transformer(batch_first=True),
        ["layers", "layers.layers.0", "layers.layers.0.self_attn", "layers.layers.1.linear1"],
    ),
    "tokens first": (
        lambda: transformer(batch_first=False),
        ["layers.layers.0.norm1", "layers.layers.0.dropout1", "layers.layers.1.self_attn"],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
def test_laws(name: str, at_input: bool) -> None:
    build, paths = NETWORKS[name]
    network, x = build()
    with untouched(network, x, draws=True):  # the laws draw vectors
        affine_map = linearize(network, x)
        for layer in affine_map.layers(paths, at_input=at_input):
            assert_layer_laws(layer, target=1)


def broken_by_an_open_layer(monkeypatch: pytest.MonkeyPatch) -> LayerMap:
    """What passes through the layer is counted around it too."""
    layer = linearize(Block(), double(5, 4)).layer("second")
    monkeypatch.setattr(captum_ilin.passage, "_nothing", lambda gradients: gradients)
    return layer


def broken_by_a_lost_constant(monkeypatch: pytest.MonkeyPatch) -> LayerMap:
    layer = linearize(Block(), double(5, 4)).layer("second")
    layer.graph.ledger.entries.pop()
    return layer


def broken_by_another_slope(monkeypatch: pytest.MonkeyPatch) -> LayerMap:
    layer = linearize(Block(), double(5, 4)).layer("second")
    true = captum_ilin.layermap.slopes
    monkeypatch.setattr(
        captum_ilin.layermap,
        "slopes",
        lambda *args, **more: tuple(2 * slope for slope in true(*args, **more)),
    )
    return layer


def broken_by_another_value(monkeypatch: pytest.MonkeyPatch) -> LayerMap:
    """A layer's value that is not the one in the graph."""
    layer = linearize(Block(), double(5, 4)).layer("second")
    with torch.no_grad():
        layer.parts[0].add_(1e-6)
    return layer


def broken_by_a_layer_of_another_map(monkeypatch: pytest.MonkeyPatch) -> LayerMap:
    model = Block()
    own, other = (linearize(model, double(5, 4)).layer("second") for _ in range(2))
    vars(own)["below"] = other.below
    return own


BROKEN = [
    broken_by_an_open_layer,
    broken_by_a_lost_constant,
    broken_by_another_slope,
    broken_by_another_value,
    broken_by_a_layer_of_another_map,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_the_laws_notice(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        assert_layer_laws(broken(monkeypatch), target=1)


def test_without_a_copy_a_residual_path_would_count_as_the_layer_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reference above notices; the sum alone would not."""
    monkeypatch.setattr(captum_ilin.layergraph, "substituted", lambda value, *_: value)
    monkeypatch.setattr(captum_ilin.layergraph, "_copied", lambda value, _: value)
    with pytest.raises(AssertionError):
        test_a_residual_path_passes_the_branch_by("first", at_input=True)


# what a layer may do with its value


class Around(nn.Module):
    """head(x + layer(x)), whatever the layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(4, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.layer(x))


@pytest.mark.parametrize(
    "layer", [nn.Identity(), nn.Dropout(0.5), nn.Flatten(), nn.Unflatten(1, (4,))]
)
@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
def test_a_layer_that_hands_on_its_own_input(layer: nn.Module, at_input: bool) -> None:
    """Half of the features' share passes through it, half by it."""
    model, x = Around(layer).eval(), double(5, 4)
    found = linearize(model, x).layer("layer", at_input=at_input).contributions(1)
    share = (x @ model.head.weight[1]).detach()
    torch.testing.assert_close(found.through, share, **ROUNDING)
    torch.testing.assert_close(found.around_features, share, **ROUNDING)
    torch.testing.assert_close(found.around_bias, model.head.bias[1].expand(5).detach())


class InPlace(nn.Module):
    """What a layer wrote into is used beside what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.relu, self.head = (
            nn.Linear(4, 4),
            nn.ReLU(inplace=True),
            nn.Linear(4, 3),
        )
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        z = self.relu(y)
        z += 1
        return self.head(y + z)


def test_a_use_of_the_written_memory_passes_the_returned_value_by() -> None:
    """z is a copy of its own, so the write into it does not reach y: that is said aloud."""
    model, x = InPlace(), double(5, 4)
    with (
        untouched(model, x),
        pytest.raises(NotExactError, match="hands on a copy of its value"),
    ):
        linearize(model, x).layer("relu")


class Several(nn.Module):
    """A layer that returns a dict, a tuple and a mask; two of its tensors are active."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = Splitting(), nn.Linear(4, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        parts = self.layer(x)
        left, (right, constant) = parts["left"], parts["right"]
        return self.head(torch.cat([left * parts["mask"], right + constant], 1))


class Splitting(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Any]:
        left, right = x[:, :2], x[:, 2:]
        constant = torch.full_like(right, 0.5)
        return {"left": left, "right": (right * right, constant), "mask": left > 0}


def test_a_layer_that_returns_several_tensors() -> None:
    model, x = Several(), double(5, 4)
    layer = linearize(model, x).layer("layer")
    assert repr(layer) == (
        "LayerMap('layer' (Splitting): inputs (5, 4) -> layer (5, 2), (5, 2) -> outputs (5, 3))"
    )
    assert_layer_laws(layer, target=1)
    v, s, u = layer.below.T.svd(1)
    torch.testing.assert_close(layer.below @ v, tuple(s[..., None] * part for part in u))
    with pytest.raises(NotImplementedError, match=r"Ask for those of its transpose, W\.T\.svd"):
        layer.below.svd(1)
    left, right = layer.contributions(1).units
    weight = model.head.weight[1].detach()
    torch.testing.assert_close(left, weight[:2] * x[:, :2].relu(), **ROUNDING)
    torch.testing.assert_close(right, weight[2:] * x[:, 2:] ** 2, **ROUNDING)
    constant = 0.5 * weight[2:].sum() + model.head.bias[1].detach()
    torch.testing.assert_close(layer.contributions(1).around_bias, constant.expand(5))


def test_an_lstm() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 6, 2, batch_first=True), nn.Linear(6, 3)
            self.double()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    layer = linearize(Last(), double(2, 5, 4)).layer("lstm")
    assert [tuple(part.shape) for part in layer.value] == [(2, 5, 6), (2, 2, 6), (2, 2, 6)]
    assert_layer_laws(layer, target=1)
    outputs, hidden, cell = layer.contributions(1).units
    assert not torch.count_nonzero(outputs[:, :-1])
    assert torch.count_nonzero(outputs[:, -1])
    assert not torch.count_nonzero(hidden)
    assert not torch.count_nonzero(cell)


class WrittenSwish(nn.Module):
    """(x σ(x)) · y: the rule for the product looks at what its factors were made from."""

    def __init__(self) -> None:
        super().__init__()
        self.sigmoid, self.body = nn.Sigmoid(), nn.Linear(4, 4)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.sigmoid(x) * self.body(x)


def test_a_copy_is_frozen_as_the_value_itself_would_be() -> None:
    model, x = WrittenSwish(), double(5, 4)
    affine_map = linearize(model, x)
    layer = affine_map.layer("sigmoid")
    assert_layer_laws(layer, target=1)
    found = layer.contributions(1)  # a gate, which is held: nothing flows through it
    assert not torch.count_nonzero(found.units)
    torch.testing.assert_close(found.around_bias, affine_map.bias(1), **ROUNDING)


class Shared(nn.Module):
    """A value of no row alone: the mean of the batch, as a row or as one number."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.pool, self.head = Mean(dims), nn.Linear(4, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x * x + self.pool(x))


class Mean(nn.Module):
    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dims)


@pytest.mark.parametrize("dims", [(0,), (0, 1)])
def test_a_value_without_a_batch_dimension(dims: tuple[int, ...]) -> None:
    """Each row's sum is told all the same."""
    model, x = Shared(dims), double(5, 4)
    layer = linearize(model, x).layer("pool")
    assert_layer_laws(layer, target=1)
    weight, shared = model.head.weight[1].detach(), x.mean(dims)
    found = layer.contributions(1)
    torch.testing.assert_close(found.through, (weight * shared).sum().expand(5), **ROUNDING)
    torch.testing.assert_close(found.around_features, (x * x) @ weight, **ROUNDING)
    with pytest.raises(NotImplementedError, match="the first dimensions of Operator"):
        layer.above.svd(1)


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x + 1

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        return 2 * vector


class Custom(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Doubling.apply(x)


@pytest.mark.filterwarnings("ignore:No rule for")
@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
def test_a_layer_that_no_op_call_announces(at_input: bool) -> None:
    model, x = Around(Custom()), double(5, 4)
    layer = linearize(model, x).layer("layer", at_input=at_input)
    assert_layer_laws(layer, target=1)
    weight = model.head.weight[1].detach()
    torch.testing.assert_close(layer.contributions(1).around_features, x @ weight, **ROUNDING)


def test_a_hook_of_the_model_s_own_comes_first() -> None:
    model, x = Block(), double(5, 4)
    model.second.register_forward_hook(lambda module, args, output: 3 * output)
    layer = linearize(model, x).layer("second")
    value = 3 * F.linear(F.relu(model.first(x)), model.second.weight, model.second.bias)
    torch.testing.assert_close(layer.value, value.detach(), **ROUNDING)
    assert_layer_laws(layer, target=1)


def test_the_map_s_own_rules() -> None:
    model, x = smooth_mlp(), double(3, 3)
    layer = linearize(model, x, rules=TANGENT_RULES).layer("1")
    assert_layer_laws(layer, target=1)
    slope = torch.autograd.functional.jacobian(lambda z: F.gelu(z).sum(0), model[0](x).detach())
    gates = blocks(dense(layer.below)) / model[0].weight.detach()
    torch.testing.assert_close(gates, slope.sum(0)[..., None].expand(3, 5, 3), **ROUNDING)


# around the call


def test_several_inputs() -> None:
    model, a, b = TwoInputs().double(), double(4, 3), double(4, 2)
    layer = linearize(model, (a, b)).layer("left")
    assert repr(layer) == (
        "LayerMap('left' (Linear): inputs (4, 3), (4, 2) -> layer (4, 4) -> outputs (4, 3))"
    )
    assert_layer_laws(layer, target=1)
    for_a, for_b = torch.ones(4, 3).double() @ layer.around
    assert not torch.count_nonzero(for_a)
    assert torch.count_nonzero(for_b)


def test_each_call_of_a_layer_is_told_apart() -> None:
    model, x = ConvNet(), double(2, 3, 12, 12)
    affine_map = linearize(model, x)
    first, last = (affine_map.layer("relu", call=call) for call in (0, 1))
    assert first.value.shape == (2, 6, 12, 12)
    assert last.value.shape == (2, 8, 3, 3)
    assert torch.equal(affine_map.layer("relu", call=-1).value, last.value)
    for layer in (first, last):
        assert_layer_laws(layer, target=1)


def test_a_module_does_as_well_as_its_path() -> None:
    model, x = residual_convnet(), double(2, 3, 12, 12)
    by_path = linearize(model, x).layer("1.body")
    by_module = linearize(lambda x: model(x) * 1.0, x).layer(model[1].body)
    assert by_path.path == by_module.path == "1.body"
    torch.testing.assert_close(by_module.contributions(1), by_path.contributions(1), **ROUNDING)


def test_several_layers_in_one_run() -> None:
    model, x, calls = residual_convnet(), double(2, 3, 12, 12), []
    handle = model.register_forward_hook(lambda *_: calls.append(None))
    affine_map = linearize(model, x)
    layers = affine_map.layers(["2", "1.body", model[0]])
    assert len(calls) == 2
    handle.remove()
    assert [layer.path for layer in layers] == ["2", "1.body", "0"]
    for layer in layers:
        alone = affine_map.layer(layer.path)
        torch.testing.assert_close(layer.contributions(2), alone.contributions(2), **ROUNDING)
    assert affine_map.layers([]) == []


def test_each_row_at_its_own_target() -> None:
    model, x = Block(), double(3, 4)
    layer = linearize(model, x).layer("second")
    mixed, each = layer.contributions([2, 0, 1]), [layer.contributions(t) for t in range(3)]
    for column, columns in zip(mixed, zip(*each, strict=True), strict=True):
        rows = torch.stack([columns[target][row] for row, target in enumerate([2, 0, 1])])
        torch.testing.assert_close(column, rows, **ROUNDING)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients(caller: Any) -> None:
    model, x = Block(), double(5, 4)
    expected = linearize(model, x).layer("second").contributions(1)
    with caller():
        layer = linearize(model, x.clone()).layer("second")
        found = layer.contributions(1)
        assert_layer_laws(layer, target=1)
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(found, expected, **ROUNDING)
    assert not any(value.requires_grad for value in found)
    assert not layer.value.requires_grad


def test_another_thread_waits_while_ways_are_closed() -> None:
    layer, a = linearize(Block(), double(5, 4)).layer("second"), double(5, 4)
    expected, found = a @ layer.below, []
    with layer.passage.closed(layer.parts):
        other = threading.Thread(target=lambda: found.append(a @ layer.below))
        other.start()
        other.join(0.2)
    other.join()
    torch.testing.assert_close(found, [expected], rtol=0, atol=0)


def test_further_arguments_are_constants() -> None:
    model, a, b = TwoInputs().double(), double(4, 3), double(4, 2)
    shift = double(4, 3)
    affine_map = linearize(model, (a, b), additional_forward_args=(shift, 2))
    layer = affine_map.layer("right")
    assert_layer_laws(layer, target=1)
    constant = 2 * model.head.bias.detach() + shift
    gate = (model.left(a) + model.right(b) > 0).double()
    left = 2 * (gate * model.left.bias) @ model.head.weight.T
    torch.testing.assert_close(layer.around_bias, constant + left.detach(), **ROUNDING)


def test_half_precision_by_autocast() -> None:
    model, x = Block().float(), torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        affine_map = linearize(model, x)
    found = affine_map.layer("second").contributions(1)
    total = found.through + found.around_features + found.around_bias
    # four roundings to eight bits of values of order one
    assert (total - affine_map.outputs[:, 1]).abs().max() < 4 * 2**-8


def test_inside_in_double() -> None:
    model, x = TinyTransformer(batch_first=True), double(2, 5, 8)
    assert_layer_laws(linearize(in_double(model), x).layer(model.layers.layers[0]), target=1)


def test_singular_directions_of_a_layer() -> None:
    network, x = relu_mlp(3, 6, 5), double(4, 3)
    layer = linearize(network, x).layer("1")
    below, _ = dense_relu_map(network[:2], x)
    torch.testing.assert_close(
        layer.below.svd(2).S.T, torch.linalg.svdvals(below)[:, :2], **ROUNDING
    )
