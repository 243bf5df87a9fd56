"""Norms of W's rows and columns, against those of the dense matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import NotOfferedError, Operator, linearize
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin import AffineMap

# Both sides sum some hundred squares in float64, in different orders, of numbers that are
# themselves sums of some hundred products.
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Embedded(nn.Module):
    """Tokens' vectors in a table, averaged after a GELU: (batch, 6) of token numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(20, 5), nn.Linear(5, 7)
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        return self.of_vectors(self.table(tokens))

    def of_vectors(self, vectors: Tensor) -> Tensor:
        return self.head(nn.functional.gelu(vectors).mean(1))


def embedded() -> tuple[Callable[[Tensor], Tensor], Tensor]:
    model, tokens = Embedded(), torch.randint(20, (3, 6))
    return model.of_vectors, model.table(tokens).detach()


NETWORKS: dict[str, Callable[[], tuple[Callable[..., Any], Tensor]]] = {
    "fewer outputs": lambda: (relu_mlp(9, 20, 5), double(3, 9)),
    "more outputs": lambda: (relu_mlp(3, 20, 17), double(3, 3)),
    "as many": lambda: (relu_mlp(6, 20, 6), double(3, 6)),
    "convnet": lambda: (ConvNet().double().eval(), double(3, 3, 12, 12)),
    "channels last": lambda: (
        ConvNet().double().eval(),
        double(3, 3, 12, 12).to(memory_format=torch.channels_last),
    ),
    "image to image": lambda: (
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU()).double(),
        double(3, 2, 5, 4).to(memory_format=torch.channels_last),
    ),
    "transformer": lambda: (TinyTransformer(batch_first=True), double(3, 5, 8)),
    "embeddings": embedded,
    "shaped outputs": lambda: (
        nn.Sequential(relu_mlp(12, 30, 20), nn.Unflatten(1, (4, 5))),
        double(1, 12),
    ),
    "one value per row": lambda: (
        nn.Sequential(relu_mlp(4, 6, 1), nn.Flatten(0)),
        double(2, 4),
    ),
    "one feature per row": lambda: (
        nn.Sequential(nn.Unflatten(0, (-1, 1)), relu_mlp(1, 6, 4)),
        double(5),
    ),
}


@pytest.fixture(params=NETWORKS)
def affine_map(request: pytest.FixtureRequest) -> AffineMap:
    return linearize(*NETWORKS[request.param]())


def dense_norms(affine_map: AffineMap) -> tuple[Tensor, Tensor]:
    """Of the rows (batch, *out) and the columns (batch, *features), entry by entry."""
    x, F = affine_map.inputs, affine_map.outputs
    assert isinstance(x, Tensor)
    W = affine_map.weight().reshape(*F.shape, *x.shape[1:])
    rows, columns = torch.zeros_like(F), torch.zeros_like(x)
    for example in range(len(x)):
        matrix = W[example].reshape(F[0].numel(), x[0].numel())
        rows[example] = torch.stack([sum(row * row) for row in matrix]).reshape(F.shape[1:])
        columns[example] = torch.stack([sum(c * c) for c in matrix.T]).reshape(x.shape[1:])
    return rows.sqrt(), columns.sqrt()


def test_norms_are_those_of_the_dense_matrix(affine_map: AffineMap) -> None:
    W, (rows, columns) = affine_map.operator(), dense_norms(affine_map)
    assert rows.any()
    torch.testing.assert_close(W.row_norms(), rows, **ROUNDING)
    torch.testing.assert_close(W.column_norms(), columns, **ROUNDING)


def test_norms_of_the_transpose_change_places(affine_map: AffineMap) -> None:
    W, back = affine_map.operator(), affine_map.operator().T
    torch.testing.assert_close(back.column_norms(), W.row_norms(), **ROUNDING)
    torch.testing.assert_close(back.row_norms(), W.column_norms(), **ROUNDING)


def test_both_sums_are_of_the_same_squares(affine_map: AffineMap) -> None:
    W = affine_map.operator()
    rows, columns = W.row_norms(), W.column_norms()
    totals = [norm.square().reshape(len(norm), -1).sum(1) for norm in (rows, columns)]
    torch.testing.assert_close(*totals, **ROUNDING)


def test_norms_bound_what_a_change_does(affine_map: AffineMap) -> None:
    """|W v| ≤ row norm · |v| for any v, and equal for v the row itself."""
    W, rows = affine_map.operator(), affine_map.operator().row_norms()
    for _ in range(5):
        v = torch.randn_like(affine_map.inputs)
        length = v.reshape(len(v), -1).norm(dim=1).reshape(-1, *[1] * (rows.dim() - 1))
        assert ((W @ v).abs() <= rows * length * (1 + 1e-12)).all()
    first = torch.zeros_like(rows)
    first.view(len(rows), -1)[:, 0] = 1
    moved = (W @ (first @ W)).reshape(len(rows), -1)[:, 0]
    torch.testing.assert_close(moved, rows.reshape(len(rows), -1)[:, 0].square(), **ROUNDING)


def test_several_inputs_are_a_tuple() -> None:
    pair = linearize(TwoInputs().double(), (double(4, 3), double(4, 2)))
    W, (for_a, for_b) = pair.operator(), pair.weight()
    expected = (for_a.square().sum(2) + for_b.square().sum(2)).sqrt()
    columns = for_a.square().sum(1).sqrt(), for_b.square().sum(1).sqrt()
    torch.testing.assert_close(W.row_norms(), expected, **ROUNDING)
    torch.testing.assert_close(W.column_norms(), columns, **ROUNDING)
    torch.testing.assert_close(W.T.row_norms(), columns, **ROUNDING)
    of_b = W.part(features={1: ...})
    torch.testing.assert_close(of_b.row_norms(), for_b.square().sum(2).sqrt(), **ROUNDING)
    torch.testing.assert_close(of_b.column_norms(), columns[1:], **ROUNDING)


def test_more_outputs_than_several_inputs_have_features() -> None:
    def outer(a: Tensor, b: Tensor) -> Tensor:
        return a[:, :, None] * torch.sigmoid(a)[:, None] + b[:, None]

    pair = linearize(outer, (double(3, 4), double(3, 4)))
    W, (for_a, for_b) = pair.operator(), pair.weight()
    expected = (for_a.square().sum(3) + for_b.square().sum(3)).sqrt()
    columns = for_a.square().sum((1, 2)).sqrt(), for_b.square().sum((1, 2)).sqrt()
    torch.testing.assert_close(W.row_norms(), expected, **ROUNDING)
    torch.testing.assert_close(W.column_norms(), columns, **ROUNDING)


PARTS = [
    ("transformer", {"features": 2}, lambda W: W[:, :, 2]),
    (
        "transformer",
        {"features": (slice(1, 3), 0), "outputs": [2, 0]},
        lambda W: W[:, [2, 0], 1:3, 0],
    ),
    ("convnet", {"features": (1, slice(4), 3), "outputs": 3}, lambda W: W[:, 3, 1, :4, 3]),
    ("more outputs", {"features": 0}, lambda W: W[:, :, 0]),
]


@pytest.mark.parametrize(("name", "chosen", "block_of"), PARTS)
def test_norms_of_a_part(name: str, chosen: Any, block_of: Any) -> None:
    whole = linearize(*NETWORKS[name]())
    part = whole.operator().part(**chosen)
    rows, columns = part.row_norms(), part.column_norms()
    block = block_of(whole.weight()).reshape(len(rows), rows[0].numel(), columns[0].numel())
    torch.testing.assert_close(rows.reshape(len(rows), -1), block.norm(dim=2), **ROUNDING)
    torch.testing.assert_close(columns.reshape(len(rows), -1), block.norm(dim=1), **ROUNDING)


def test_norms_of_a_network_that_looks_vectors_up() -> None:
    """Token numbers have no derivative: each token's vector is scaled instead."""
    model, tokens = Embedded(), torch.randint(20, (3, 6))

    def scaled(scale: Tensor, tokens: Tensor) -> Tensor:
        return model.of_vectors(model.table(tokens) * scale[:, :, None])

    affine_map = linearize(scaled, double(3, 6), additional_forward_args=tokens)
    W = affine_map.operator()
    rows, columns = dense_norms(affine_map)
    torch.testing.assert_close(W.row_norms(), rows, **ROUNDING)
    torch.testing.assert_close(W.column_norms(), columns, **ROUNDING)


def test_norms_of_a_layer() -> None:
    network, x = relu_mlp(9, 20, 5), double(3, 9)
    layer = linearize(network, x).layer("1")
    matrix = network[2].weight.detach().expand(3, -1, -1)
    torch.testing.assert_close(layer.above.row_norms(), matrix.norm(dim=2), **ROUNDING)
    torch.testing.assert_close(layer.above.column_norms(), matrix.norm(dim=1), **ROUNDING)


def test_norms_of_a_trained_network_on_digits() -> None:
    pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
    from comparisons.models import digits

    network = digits.cnn(0)
    affine_map = linearize(network.model.double(), network.inputs[:3].double())
    W, (rows, columns) = affine_map.operator(), dense_norms(affine_map)
    torch.testing.assert_close(W.row_norms(), rows, **ROUNDING)
    torch.testing.assert_close(W.column_norms(), columns, **ROUNDING)


# what is counted, held and kept


def counted(W: Operator) -> tuple[Operator, list[str]]:
    """The operator, and a list that grows by what it multiplies."""
    calls: list[str] = []

    def along(v: Any) -> Any:
        calls.append("W v")
        return W._apply(v)

    def back(u: Any) -> Any:
        calls.append("u W")
        return W._apply_transposed(u)

    return Operator(W.domain, W.codomain, along, back), calls


@pytest.mark.parametrize(
    ("network", "inputs", "products"),
    [
        (relu_mlp(9, 20, 5), (1, 9), ["u W"] * 5),
        (relu_mlp(6, 20, 6), (1, 6), ["u W"] * 6),
        (relu_mlp(3, 20, 17), (1, 3), ["W v"] * 3),
        (relu_mlp(9, 20, 5), (2, 9), ["u W"] * (2 + 5)),
        (relu_mlp(9, 20, 5), (3, 9), ["u W"] * (4 + 5)),
        (relu_mlp(3, 20, 17), (8, 3), ["W v"] * (6 + 3)),
    ],
)
def test_products_are_of_the_smaller_side_and_once_for_both(
    network: nn.Module, inputs: tuple[int, ...], products: list[str]
) -> None:
    W, calls = counted(linearize(network, double(*inputs)).operator())
    W.row_norms()
    W.column_norms()
    W.row_norms()
    assert calls == products


def test_progress_is_told_after_each_product() -> None:
    W, told = linearize(relu_mlp(9, 20, 5), double(3, 9)).operator(), []
    W.column_norms(progress=lambda done, of_all: told.append((done, of_all)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_rows_are_not_held() -> None:
    """What is alive during the pass does not grow with the outputs done."""
    import gc
    import weakref

    W, seen = linearize(relu_mlp(90, 20, 50), double(1, 90)).operator(), []
    alive: list[int] = []

    def back(u: Any) -> Any:
        gc.collect()
        alive.append(sum(reference() is not None for reference in seen))
        rows = tuple(part.clone() for part in W._apply_transposed(u))
        seen.extend(weakref.ref(part) for part in rows)
        return rows

    Operator(W.domain, W.codomain, W._apply, back).row_norms()
    assert len(seen) == 50
    assert max(alive) <= 1  # the row before, until the name is bound anew


def test_what_is_given_is_the_callers() -> None:
    W = linearize(relu_mlp(9, 20, 5), double(3, 9)).operator()
    first = W.row_norms()
    expected = first.clone()
    first.zero_()
    torch.testing.assert_close(W.row_norms(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_norms_for_callers_without_gradients(caller: Any) -> None:
    network, x = relu_mlp(9, 20, 5), double(3, 9)
    expected = linearize(network, x).operator().row_norms()
    with caller():
        found = linearize(network, x.clone()).operator().row_norms()
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not expected.requires_grad


def test_a_map_without_slope_has_norms_zero() -> None:
    W = linearize(lambda x: torch.ones_like(x), double(2, 3)).operator()
    assert not torch.count_nonzero(W.row_norms())
    assert not torch.count_nonzero(W.column_norms())


# numbers


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_squares_of_float32_neither_overflow_nor_vanish(size: float) -> None:
    scale = torch.tensor([3.0, 4.0]) * size
    W = linearize(lambda x: (x * scale).sum(1, keepdim=True), torch.ones(2, 2)).operator()
    torch.testing.assert_close(W.row_norms(), torch.full((2, 1), 5 * size), rtol=2e-7, atol=0)
    torch.testing.assert_close(W.column_norms(), scale.expand(2, 2), rtol=2e-7, atol=0)
    assert W.row_norms().dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    """Ten thousand ones: in half precision itself their sum would stop at 2048 or 256."""
    x = torch.ones(2, 10_000, dtype=dtype)
    W = linearize(lambda x: x.sum(1, keepdim=True), x).operator()
    hundred = torch.full((2, 1), 100.0, dtype=dtype)
    torch.testing.assert_close(W.row_norms(), hundred, rtol=0, atol=0)
    layer = nn.Linear(30, 20).to(dtype)
    W = linearize(layer, torch.ones(2, 30, dtype=dtype)).operator()
    expected = layer.weight.detach().double()
    rows, columns = expected.norm(dim=1).to(dtype), expected.norm(dim=0).to(dtype)
    torch.testing.assert_close(W.row_norms(), rows.expand(2, -1), rtol=0, atol=0)
    torch.testing.assert_close(W.column_norms(), columns.expand(2, -1), rtol=0, atol=0)


def test_each_part_has_its_own_dtype() -> None:
    pair = linearize(lambda a, b: a + b.float(), (torch.ones(2, 3), double(2, 3)))
    W = pair.operator()
    a, b = W.column_norms()
    assert (W.row_norms().dtype, a.dtype, b.dtype) == (
        torch.float32,
        torch.float32,
        torch.float64,
    )


# what is refused


def test_the_first_dimensions_differ() -> None:
    network, x = TinyTransformer(batch_first=False), double(2, 5, 8)
    below = linearize(network, x).layer("layers").below
    with pytest.raises(NotOfferedError) as error:
        below.column_norms()
    assert str(error.value) == (
        "Norms are those of each example's own map, but the first dimensions of "
        "Operator(inputs (2, 5, 8) -> layer (5, 2, 8)) differ, so it does not tell which "
        "numbers belong to an example. Use inputs whose first dimension is the batch."
    )


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "all": lambda x: x + x.flip(0).cumsum(1),
    "the batch's mean": lambda x: x - x.mean(0),
    "a running sum": lambda x: x.cumsum(0),
    "one on one": lambda x: torch.cat([x[:-1], x[-1:] + x[1:2]]),
    "one on one the other way": lambda x: torch.cat([x[:1] + x[-1:], x[1:]]),
    "one number": lambda x: x + 1e-9 * torch.eye(5, 3).double() * x[2, 1],
    "more outputs": lambda x: torch.cat([x, x + x.roll(1, 0)], 1),
    "fewer outputs": lambda x: (x + x.roll(1, 0)).sum(1),
}


@pytest.mark.parametrize("mixing", MIXING)
def test_examples_that_depend_on_each_other(mixing: str) -> None:
    W = linearize(MIXING[mixing], double(5, 3)).operator()
    for ask in (W.row_norms, W.column_norms, W.T.row_norms, W.T.column_norms):
        with pytest.raises(NotOfferedError) as error:
            ask()
        assert str(error.value) == (
            "Norms are those of each example's own map, but here an example's outputs depend "
            "on other examples too. Explain one example at a time, or put the model into "
            "evaluation mode."
        )


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 8, 9])
def test_any_two_examples_of_a_batch_are_told_apart(batch: int) -> None:
    x = double(batch, 2)
    linearize(lambda x: 2 * x, x).operator().row_norms()
    for one in range(batch):
        for other in range(batch):
            if one == other:
                continue
            place = torch.zeros(batch, 1, dtype=torch.float64)
            place[one] = 1
            W = linearize(lambda x, p=place, o=other: x + p * x[o], x).operator()
            with pytest.raises(NotOfferedError, match=r"depend on other examples"):
                W.row_norms()


def test_complex_outputs() -> None:
    W = linearize(torch.fft.fft, double(2, 4)).operator()
    with pytest.raises(NotOfferedError) as error:
        W.row_norms()
    assert str(error.value) == (
        "Norms are those of a real W, but Operator(inputs (2, 4) -> outputs (2, 4)) has "
        "complex numbers on a side. Linearize `lambda x: torch.view_as_real(model(x))`."
    )


# broken specimens


def test_a_product_that_is_off_would_be_found() -> None:
    network, x = NETWORKS["transformer"]()
    affine_map = linearize(network, x)
    W, (rows, columns) = affine_map.operator(), dense_norms(affine_map)

    def back(u: Any) -> Any:
        (slopes,) = W._apply_transposed(u)
        return (slopes * torch.ones_like(slopes).index_fill(1, torch.tensor([4]), 1 + 1e-6),)

    broken = Operator(W.domain, W.codomain, W._apply, back)
    for found, expected in ((broken.row_norms(), rows), (broken.column_norms(), columns)):
        with pytest.raises(AssertionError, match=r"not close|Tensor-likes"):
            torch.testing.assert_close(found, expected, **ROUNDING)
