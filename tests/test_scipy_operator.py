"""``Operator.to_scipy``: SciPy's products and solvers against the dense matrix."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_ilin import (
    NotOfferedError,
    Operator,
    ScipyPackageError,
    TargetRangeError,
    linearize,
)
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp

linalg = pytest.importorskip("scipy.sparse.linalg", reason="SciPy is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable

# Both sides sum some hundred products in float64, in different orders.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def vectors_of_tokens() -> tuple[Callable[[Tensor], Tensor], Tensor]:
    table, head = nn.Embedding(20, 5).double(), nn.Linear(5, 7).double()

    def of_vectors(vectors: Tensor) -> Tensor:
        return head(nn.functional.gelu(vectors).mean(1))

    return of_vectors, table(torch.randint(20, (3, 6))).detach()


def mixing() -> tuple[Callable[[Tensor], Tensor], Tensor]:
    return lambda x: torch.relu(x - x.mean(0)), double(3, 4)


NETWORKS: dict[str, Callable[[], tuple[Callable[..., Any], Any]]] = {
    "mlp": lambda: (relu_mlp(9, 20, 5), double(3, 9)),
    "more outputs": lambda: (relu_mlp(3, 20, 17), double(3, 3)),
    "convnet": lambda: (
        ConvNet().double().eval(),
        double(3, 3, 12, 12).to(memory_format=torch.channels_last),
    ),
    "transformer": lambda: (TinyTransformer(batch_first=True), double(3, 5, 8)),
    "embeddings": vectors_of_tokens,
    "shaped outputs": lambda: (
        nn.Sequential(relu_mlp(12, 30, 20), nn.Unflatten(1, (4, 5))),
        double(1, 12),
    ),
    "one value per row": lambda: (
        nn.Sequential(relu_mlp(4, 6, 1), nn.Flatten(0)),
        double(2, 4),
    ),
    "several inputs": lambda: (TwoInputs().double(), (double(4, 3), double(4, 2))),
    "examples that depend on each other": mixing,
}


@pytest.fixture(params=NETWORKS)
def affine_map(request: pytest.FixtureRequest) -> Any:
    return linearize(*NETWORKS[request.param]())


def dense(affine_map: Any) -> np.ndarray:
    """(numbers of the outputs, numbers of the inputs), row by row of the frozen graph."""
    F = affine_map.graph_outputs
    rows = []
    for output in F.flatten():
        slopes = torch.autograd.grad(output, affine_map.leaves, retain_graph=True)
        rows.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(rows).numpy()


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, **ROUNDING)


def test_products_are_those_of_the_dense_matrix(affine_map: Any) -> None:
    A, M, random = affine_map.operator().to_scipy(), dense(affine_map), np.random.default_rng(0)
    assert A.shape == M.shape
    assert A.dtype == np.float64
    v, u = random.standard_normal(M.shape[1]), random.standard_normal(M.shape[0])
    V, U = random.standard_normal((M.shape[1], 3)), random.standard_normal((M.shape[0], 3))
    close(A.matvec(v), M @ v)
    close(A.matvec(v[:, None]), M @ v[:, None])
    close(A.rmatvec(u), M.T @ u)
    close(A.rmatvec(u[:, None]), M.T @ u[:, None])
    close(A.matmat(V), M @ V)
    close(A.rmatmat(U), M.T @ U)
    close(A.T @ u, M.T @ u)
    close(A.H @ U, M.T @ U)
    close(A @ np.eye(M.shape[1]), M)
    assert A.matmat(V[:, :0]).shape == (M.shape[0], 0)


def test_the_two_products_are_adjoint(affine_map: Any) -> None:
    A, random = affine_map.operator().to_scipy(), np.random.default_rng(0)
    u, v = random.standard_normal(A.shape[0]), random.standard_normal(A.shape[1])
    one, other = u @ A.matvec(v), A.rmatvec(u) @ v
    size = np.linalg.norm(u) * np.linalg.norm(A.matvec(v))
    size += np.linalg.norm(A.rmatvec(u)) * np.linalg.norm(v)
    assert abs(one - other) <= 1e-14 * size


def test_the_transpose(affine_map: Any) -> None:
    A, M = affine_map.operator().T.to_scipy(), dense(affine_map)
    close(A @ np.eye(M.shape[0]), M.T)
    close(A.rmatmat(np.eye(M.shape[1])), M)


def test_vectors_are_inputs_and_outputs_one_after_another() -> None:
    affine_map = linearize(*NETWORKS["several inputs"]())
    a, b = affine_map.inputs
    flat = np.concatenate([a.numpy().ravel(), b.numpy().ravel()])
    found = affine_map.operator().to_scipy() @ flat + affine_map.bias().numpy().ravel()
    close(found, affine_map.outputs.numpy().ravel())


def test_a_part() -> None:
    affine_map = linearize(*NETWORKS["transformer"]())
    part = affine_map.operator().part(features=(2, slice(4)), outputs=[2, 0])
    A, block = part.to_scipy(), affine_map.weight()[:, [2, 0], 2, :4]
    close(A @ np.eye(3 * 4), torch.block_diag(*block).numpy())
    close(part.to_scipy(row=1) @ np.eye(4), block[1].numpy())
    close(part.T.to_scipy(row=1) @ np.eye(2), block[1].T.numpy())


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "several inputs"])
def test_one_example(name: str) -> None:
    affine_map = linearize(*NETWORKS[name]())
    x, F, M = affine_map.inputs, affine_map.outputs, dense(affine_map)
    for row in range(len(x)):
        A = affine_map.operator().to_scipy(row=row)
        blocks = M.reshape(len(F), F[0].numel(), len(x), x[0].numel())
        close(A @ np.eye(x[0].numel()), blocks[row, :, row])
        close(A.rmatmat(np.eye(F[0].numel())), blocks[row, :, row].T)


def test_one_example_of_several_inputs() -> None:
    affine_map = linearize(*NETWORKS["several inputs"]())
    for_a, for_b = affine_map.weight()
    A = affine_map.operator().to_scipy(row=3)
    close(A @ np.eye(5), torch.cat([for_a[3], for_b[3]], 1).numpy())
    close(A.rmatmat(np.eye(3)), torch.cat([for_a[3], for_b[3]], 1).T.numpy())


# SciPy's solvers


@pytest.mark.parametrize("name", ["mlp", "transformer", "several inputs", "convnet"])
def test_singular_values_by_scipy(name: str) -> None:
    affine_map = linearize(*NETWORKS[name]())
    A = affine_map.operator().to_scipy()
    U, S, Vt = linalg.svds(A, k=2, random_state=0, tol=1e-12)
    close(S, np.linalg.svd(dense(affine_map), compute_uv=False)[:2][::-1])
    close(A @ Vt.T, U * S)


def test_eigenvalues_by_scipy() -> None:
    affine_map = linearize(*NETWORKS["mlp"]())
    A, M = affine_map.operator().to_scipy(), dense(affine_map)
    found = linalg.eigsh(A @ A.T, k=3, return_eigenvectors=False, v0=np.ones(A.shape[0]))
    close(np.sort(found), np.linalg.eigvalsh(M @ M.T)[-3:])


def test_least_squares_by_scipy() -> None:
    """The smallest change of the input that moves the outputs as wanted."""
    affine_map = linearize(relu_mlp(9, 40, 5), double(1, 9))
    A, M, wanted = affine_map.operator().to_scipy(), dense(affine_map), np.arange(5.0)
    change = linalg.lsqr(A, wanted, atol=1e-14, btol=1e-14)[0]
    np.testing.assert_allclose(change, np.linalg.pinv(M) @ wanted, rtol=1e-8, atol=1e-9)


def test_singular_values_of_a_trained_network_on_digits() -> None:
    pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
    from comparisons.models import digits

    network = digits.cnn(0)
    affine_map = linearize(network.model.double(), network.inputs[:3].double())
    W, expected = affine_map.operator(), affine_map.weight().flatten(2)
    for row in range(3):
        S = singular_values(W.to_scipy(row=row))
        close(S, torch.linalg.svdvals(expected[row])[:3].numpy())
    ours = W.svd(3).S[:, 0].numpy()
    S = singular_values(W.to_scipy(row=0))
    close(S, ours)


def singular_values(A: Any) -> np.ndarray:
    """The first three, the largest first."""
    S = linalg.svds(A, k=3, return_singular_vectors=False, tol=1e-12, random_state=0)
    return np.sort(S)[::-1]


# arrays


def test_float32_stays_float32() -> None:
    layer = nn.Linear(6, 4)
    A = linearize(layer, torch.randn(1, 6)).operator().to_scipy()
    assert A.dtype == np.float32
    found = A @ np.eye(6)  # float64, which is converted
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, layer.weight.detach().numpy(), rtol=1e-6, atol=1e-7)
    assert A.rmatvec(np.ones(4, dtype=int)).dtype == np.float32


def test_the_wider_dtype_where_inputs_differ() -> None:
    A = (
        linearize(lambda a, b: a + 3 * b.float(), (torch.ones(1, 2), double(1, 2)))
        .operator()
        .to_scipy()
    )
    assert A.dtype == np.float64
    found = A @ np.eye(4)
    assert found.dtype == np.float64
    close(found, np.array([[1.0, 0, 3, 0], [0, 1, 0, 3]]))


def test_a_complex_vector_is_two_real_ones() -> None:
    affine_map = linearize(*NETWORKS["mlp"]())
    A, M, random = affine_map.operator().to_scipy(), dense(affine_map), np.random.default_rng(0)
    v = random.standard_normal(27) + 1j * random.standard_normal(27)
    close(A @ v, M @ v)
    close(A.rmatvec(M @ v), M.T @ (M @ v))


def test_arrays_of_any_layout_are_read_and_not_written() -> None:
    affine_map = linearize(*NETWORKS["mlp"]())
    A, M = affine_map.operator().to_scipy(), dense(affine_map)
    v = np.arange(27.0)
    v.flags.writeable = False
    close(A @ v, M @ v)
    close(A @ v[::-1], M @ v[::-1])
    wide = np.asfortranarray(np.arange(54.0).reshape(27, 2))
    close(A @ wide, M @ wide)
    identity = linearize(lambda x: x, double(1, 3)).operator().to_scipy()
    w = np.ones(3)
    found = identity @ w
    found[:] = 7
    assert (w == 1).all()


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_products_for_callers_without_gradients(caller: Any) -> None:
    network, x = relu_mlp(9, 20, 5), double(1, 9)
    expected = linearize(network, x).operator().to_scipy() @ np.eye(9)
    with caller():
        found = linearize(network, x.clone()).operator().to_scipy() @ np.eye(9)
    np.testing.assert_array_equal(found, expected)


# what is refused


@pytest.mark.parametrize(
    "product",
    [
        lambda A: A.matvec(np.ones(26)),
        lambda A: A.rmatvec(np.ones(27)),
        lambda A: A.matmat(np.ones((15, 2))),
        lambda A: A.rmatmat(np.ones((27, 2))),
    ],
)
def test_wrong_shapes_are_scipys_errors(product: Any) -> None:
    A = linearize(*NETWORKS["mlp"]()).operator().to_scipy()
    with pytest.raises(ValueError, match=r"^dimension mismatch"):
        product(A)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    W = linearize(nn.Linear(3, 2).to(dtype), torch.ones(1, 3, dtype=dtype)).operator()
    with pytest.raises(NotOfferedError) as error:
        W.to_scipy()
    assert str(error.value) == (
        "SciPy's solvers compute in float32 or float64, but Operator(inputs (1, 3) -> outputs "
        f"(1, 2)) is in {dtype}. Convert the model and its inputs to float32 or float64."
    )


@pytest.mark.parametrize("row", [3, -1, True, 1.0])
def test_a_row_that_does_not_exist(row: Any) -> None:
    W = linearize(*NETWORKS["mlp"]()).operator()
    with pytest.raises(TargetRangeError, match=r"^The row must be an int from 0 to 2, because"):
        W.to_scipy(row=row)


def test_a_row_where_the_first_dimension_is_not_the_batch() -> None:
    network, x = TinyTransformer(batch_first=False), double(2, 5, 8)
    below = linearize(network, x).layer("layers").below
    assert below.to_scipy().shape == (80, 80)
    with pytest.raises(NotOfferedError) as error:
        below.to_scipy(row=0)
    assert str(error.value) == (
        "Blocks of one row are those of each example's own map, but the first dimensions of "
        "Operator(inputs (2, 5, 8) -> layer (5, 2, 8)) differ, so it does not tell which "
        "numbers belong to an example. Use inputs whose first dimension is the batch."
    )


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    W = linearize(*NETWORKS["mlp"]()).operator()
    for name in ("scipy", "scipy.sparse", "scipy.sparse.linalg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ScipyPackageError) as error:
        W.to_scipy()
    assert str(error.value) == (
        "Linear operators are SciPy's, which is not installed. Install it with: "
        'python -m pip install "captum-ilin[scipy]"'
    )
    assert isinstance(error.value, ImportError)
    assert W.row_norms().shape == (3, 5)  # which needs no SciPy


# broken specimens


def test_a_product_that_is_no_transpose_would_be_found() -> None:
    affine_map = linearize(*NETWORKS["transformer"]())
    W, M = affine_map.operator(), dense(affine_map)

    def back(u: Any) -> Any:
        (slopes,) = W._apply_transposed(u)
        return (slopes.flip(1),)

    broken = Operator(W.domain, W.codomain, W._apply, back).to_scipy()
    close(broken @ np.eye(120), M)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        close(broken.rmatmat(np.eye(9)), M.T)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        close(linalg.svds(broken, k=2, random_state=0)[1], np.linalg.svd(M)[1][:2][::-1])
