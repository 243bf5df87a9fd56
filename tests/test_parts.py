"""``Operator.part``: blocks of W against the dense Jacobian, indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import OperandError, Operator, PartError, frozen, linearize
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

# Both sides sum some hundred products in float64, in different orders.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def shaped() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(relu_mlp(12, 30, 20), nn.Unflatten(1, (4, 5))), double(2, 12)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "mlp": lambda: (relu_mlp(9, 20, 7), double(3, 9)),
    "convnet": lambda: (ConvNet().double().eval(), double(2, 3, 12, 12)),
    "transformer": lambda: (TinyTransformer(batch_first=True), double(2, 5, 8)),
    "shaped outputs": shaped,
    "one value per row": lambda: (
        nn.Sequential(relu_mlp(4, 6, 1), nn.Flatten(0)),
        double(2, 4),
    ),
}

CASES: list[tuple[str, Any, Any]] = [
    ("mlp", None, None),
    ("mlp", 4, None),
    ("mlp", slice(2, 8, 3), 1),
    ("mlp", -1, [6, 0]),
    ("mlp", [3, 3, 1], [2, 2]),
    ("convnet", 1, slice(0, 2)),
    ("convnet", (slice(None), slice(3), 5), None),
    ("convnet", (..., -1), (3,)),
    ("convnet", torch.arange(3), torch.tensor([True, False, True, False])),
    ("transformer", 2, None),
    ("transformer", slice(1, 3), 0),
    ("transformer", ([0, 4], [7, 1]), None),
    ("transformer", [[0, 4], [2, 2]], [[[1]]]),
    ("shaped outputs", slice(5), (2, slice(1, 4))),
    ("shaped outputs", None, (0, 0)),
    ("one value per row", slice(2), None),
    ("one value per row", 0, ...),
]


def dense_block(
    network: nn.Module, x: Tensor, features: Any, outputs: Any
) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]]:
    """The dense Jacobian of the frozen network, every example's rows and columns picked out.

    (*part of the outputs, *part of the inputs) flattened to a matrix, and the two shapes.
    """
    J = torch.autograd.functional.jacobian(frozen(network), x)
    y = network(x)
    rows = torch.arange(y.numel()).reshape(y.shape)
    columns = torch.arange(x.numel()).reshape(x.shape)
    rows = torch.stack([numbers_at(row, outputs) for row in rows])
    columns = torch.stack([numbers_at(column, features) for column in columns])
    matrix = J.reshape(y.numel(), x.numel())[rows.flatten()][:, columns.flatten()]
    return matrix, tuple(columns.shape), tuple(rows.shape)


def numbers_at(example: Tensor, index: Any) -> Tensor:
    if index is None:
        return example
    return example[torch.tensor(index) if isinstance(index, list) else index]


def block_of(name: str, features: Any, outputs: Any) -> tuple[Operator, Any]:
    network, x = NETWORKS[name]()
    block = linearize(network, x).operator().part(features=features, outputs=outputs)
    return block, dense_block(network, x, features, outputs)


@pytest.mark.parametrize(("name", "features", "outputs"), CASES)
def test_products_are_those_of_the_dense_block(name: str, features: Any, outputs: Any) -> None:
    block, (matrix, taken, given) = block_of(name, features, outputs)
    v, u = double(3, *taken), double(2, 2, *given)
    along = (v.reshape(3, -1) @ matrix.T).reshape(3, *given)
    back = (u.reshape(4, -1) @ matrix).reshape(2, 2, *taken)
    torch.testing.assert_close(block @ v, along, **ROUNDING)
    torch.testing.assert_close(u @ block, back, **ROUNDING)
    torch.testing.assert_close(block.T @ u, back, **ROUNDING)
    torch.testing.assert_close(v @ block.T, along, **ROUNDING)


@pytest.mark.parametrize(("name", "features", "outputs"), CASES)
def test_the_two_products_are_adjoint(name: str, features: Any, outputs: Any) -> None:
    block, (_, taken, given) = block_of(name, features, outputs)
    v, u = double(*taken), double(*given)
    one, other = (u * (block @ v)).sum(), ((u @ block) * v).sum()
    size = u.norm() * (block @ v).norm() + (u @ block).norm() * v.norm()
    assert (one - other).abs() <= 1e-14 * size


def test_singular_values_are_those_of_the_block() -> None:
    network, x = NETWORKS["transformer"]()
    affine_map = linearize(network, x)
    W, dense = affine_map.operator(), affine_map.weight()
    for position in range(5):
        U, S, V = W.part(features=position).svd(3)
        expected = torch.linalg.svdvals(dense[:, :, position])
        # found to 1e3 units of rounding of the largest, 2.2e-13
        torch.testing.assert_close(S.T, expected[:, :3], rtol=0.0, atol=1e-11)
        assert U.shape == (3, 2, 3)
        assert V.shape == (3, 2, 8)


def test_blocks_of_all_positions_are_the_whole() -> None:
    """W x = Σ_p W_p x_p: what positions add up to."""
    network, x = NETWORKS["transformer"]()
    W = linearize(network, x).operator()
    total = sum(W.part(features=p) @ x[:, p] for p in range(5))
    torch.testing.assert_close(total, W @ x, **ROUNDING)


def test_a_part_of_a_part() -> None:
    network, x = NETWORKS["convnet"]()
    W = linearize(network, x).operator()
    corner = W.part(features=(1, slice(4))).part(features=(slice(None), 2), outputs=3)
    once = W.part(features=(1, slice(4), 2), outputs=3)
    v = double(2, 4)
    torch.testing.assert_close(corner @ v, once @ v, rtol=0, atol=0)


def test_parts_of_the_transpose_are_of_what_it_takes_and_gives() -> None:
    network, x = NETWORKS["transformer"]()
    W, u = linearize(network, x).operator(), double(2, 2)
    one = W.T.part(features=slice(2), outputs=4)
    torch.testing.assert_close(
        one @ u, W.part(features=4, outputs=slice(2)).T @ u, rtol=0, atol=0
    )


def test_one_of_several_inputs() -> None:
    network, a, b = TwoInputs().double(), double(4, 3), double(4, 2)
    affine_map = linearize(network, (a, b))
    W, (for_a, for_b) = affine_map.operator(), affine_map.weight()
    of_b = W.part(features={1: ...}, outputs=0)
    assert repr(of_b) == "Operator(part of the inputs (4, 2) -> part of the outputs (4,))"
    torch.testing.assert_close(of_b @ (b,), (for_b[:, 0] * b).sum(1), **ROUNDING)
    both = W.part(features={1: 0, 0: slice(2)})
    torch.testing.assert_close(
        both @ (b[:, 0], a[:, :2]),
        for_b[:, :, 0] * b[:, :1] + torch.einsum("boi,bi->bo", for_a[:, :, :2], a[:, :2]),
        **ROUNDING,
    )
    (back,) = double(4) @ of_b
    assert back.shape == (4, 2)


def test_vectors_of_a_part_are_checked_against_it() -> None:
    block = linearize(relu_mlp(9, 20, 7), double(3, 9)).operator().part(features=slice(4))
    with pytest.raises(OperandError) as error:
        block @ double(3, 9)
    assert str(error.value) == (
        "The operand must be shaped like the part of the inputs, shape (3, 4), but got shape "
        "(3, 9). Further dimensions, which count vectors, go in front."
    )


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_parts_for_callers_without_gradients(caller: Any) -> None:
    network, x = relu_mlp(9, 20, 7), double(3, 9)
    expected = linearize(network, x).operator().part(features=slice(4)) @ x[:, :4]
    with caller():
        block = linearize(network, x.clone()).operator().part(features=slice(4))
        torch.testing.assert_close(block @ x[:, :4], expected, rtol=0, atol=0)


PASS = "Pass an int, a slice, a list of ints or a tuple of these; the batch is left out."


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"features": 5},
            "features=5 does not index an example of shape (5, 8): index 5 is out of bounds "
            f"for dimension 0 with size 5. {PASS}",
        ),
        (
            {"features": (1, 2, 3)},
            "features=(1, 2, 3) does not index an example of shape (5, 8): too many indices "
            f"for tensor of dimension 2. {PASS}",
        ),
        (
            {"outputs": slice(3, 3)},
            "outputs=slice(3, 3, None) does not index an example of shape (3,): it chooses "
            f"nothing. {PASS}",
        ),
        (
            {"outputs": True},
            "outputs=True does not index an example of shape (3,): None and bools choose "
            f"nothing. {PASS}",
        ),
    ],
)
def test_an_index_that_does_not_fit(chosen: Any, message: str) -> None:
    W = linearize(TinyTransformer(batch_first=True), double(2, 5, 8)).operator()
    with pytest.raises(PartError) as error:
        W.part(**chosen)
    assert str(error.value) == message


@pytest.mark.parametrize("index", ["word", 1.5, {0: 1}, [], [0.5], ["word"], [[0], [1, 2]]])
def test_what_is_no_index(index: Any) -> None:
    W = linearize(TinyTransformer(batch_first=True), double(2, 5, 8)).operator()
    with pytest.raises(PartError, match=r"^features=.* does not index an example of shape \(5"):
        W.part(features=index)


@pytest.mark.parametrize("index", [0, {}, {2: 0}, {-1: 0}, slice(2)])
def test_several_inputs_need_to_know_which(index: Any) -> None:
    W = linearize(TwoInputs().double(), (double(4, 3), double(4, 2))).operator()
    with pytest.raises(PartError) as error:
        W.part(features=index)
    assert str(error.value) == (
        "features must say which of the 2 inputs is meant, as a dict of its number (0 to 1) "
        f"and an index into each of its examples, but got {index!r}. Pass features={{0: ...}} "
        "for all of the first."
    )
