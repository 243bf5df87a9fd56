"""``Operator``: products with W against the dense Jacobian of the frozen network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import OperandError, frozen, in_double, linearize
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp, smooth_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

# Both sides sum some hundred products in float64, in different orders.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def transformer() -> tuple[nn.Module, Tensor]:
    return TinyTransformer(batch_first=True), double(2, 5, 8)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "relu_mlp": lambda: (relu_mlp(3, 6, 5), double(4, 3)),
    "smooth_mlp": lambda: (smooth_mlp(), double(3, 3)),
    "convnet": lambda: (ConvNet().double().eval(), double(2, 3, 12, 12)),
    "transformer": transformer,
    "shaped outputs": lambda: (
        nn.Sequential(relu_mlp(3, 6, 6), nn.Unflatten(1, (3, 2))),
        double(2, 3),
    ),
    "one value per row": lambda: (
        nn.Sequential(relu_mlp(3, 6, 1), nn.Flatten(0)),
        double(2, 3),
    ),
}


def dense(network: nn.Module, x: Tensor) -> Tensor:
    """∂G/∂x of the frozen network, (*outputs, *inputs), row by row."""
    return torch.autograd.functional.jacobian(frozen(network), x)


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    return NETWORKS[request.param]()


def test_products_are_those_of_the_dense_jacobian(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    W, J, y = linearize(network, x).operator(), dense(network, x), network(x).detach()
    v, u = torch.randn_like(x), torch.randn_like(y)
    torch.testing.assert_close(W @ v, torch.tensordot(J, v, x.dim()), **ROUNDING)
    torch.testing.assert_close(u @ W, torch.tensordot(u, J, y.dim()), **ROUNDING)
    torch.testing.assert_close(W.T @ u, u @ W, rtol=0, atol=0)
    torch.testing.assert_close(v @ W.T, W @ v, rtol=0, atol=0)
    assert W.T.T == W


def test_the_two_products_are_adjoint(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    W = linearize(network, x).operator()
    v = torch.randn_like(x)
    u = torch.randn_like(W @ v)
    one, other = (u * (W @ v)).sum(), ((u @ W) * v).sum()
    size = (u.norm() * (W @ v).norm()).clamp_min((u @ W).norm() * v.norm())
    assert (one - other).abs() <= 1e-14 * size


def test_many_vectors_at_once(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    W = linearize(network, x).operator()
    v = double(2, 3, *x.shape)
    u = torch.randn_like(W @ v)
    each = torch.stack([W @ vector for vector in v.flatten(0, 1)]).unflatten(0, (2, 3))
    torch.testing.assert_close(W @ v, each, **ROUNDING)
    each = torch.stack([vector @ W for vector in u.flatten(0, 1)]).unflatten(0, (2, 3))
    torch.testing.assert_close(u @ W, each, **ROUNDING)
    assert (W @ v[:0]).shape == (0, 3, *network(x).shape)
    assert (u[:0] @ W).shape == (0, 3, *x.shape)


def test_products_agree_with_weight_and_bias(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    affine_map = linearize(network, x)
    total = affine_map.operator() @ x + affine_map.bias().reshape(affine_map.outputs.shape)
    torch.testing.assert_close(total, affine_map.outputs, **ROUNDING)


def test_several_inputs_are_a_tuple() -> None:
    network, a, b = TwoInputs().double(), double(4, 3), double(4, 2)
    affine_map = linearize(network, (a, b))
    W, (for_a, for_b) = affine_map.operator(), affine_map.weight()
    product = torch.einsum("boi,bi->bo", for_a, a) + torch.einsum("boi,bi->bo", for_b, b)
    torch.testing.assert_close(W @ (a, b), product, **ROUNDING)
    u = double(2, 4, 3)
    rows = u @ W
    torch.testing.assert_close(rows[0], torch.einsum("kbo,boi->kbi", u, for_a), **ROUNDING)
    torch.testing.assert_close(rows[1], torch.einsum("kbo,boi->kbi", u, for_b), **ROUNDING)
    torch.testing.assert_close((a, b) @ W.T, W @ (a, b), rtol=0, atol=0)
    assert repr(W) == "Operator(inputs (4, 3), (4, 2) -> outputs (4, 3))"
    assert repr(W.T) == "Operator(outputs (4, 3) -> inputs (4, 3), (4, 2))"


def test_an_input_that_only_sets_gates_has_no_weight() -> None:
    def gated(a: Tensor, b: Tensor) -> Tensor:
        return a * torch.sigmoid(b)

    a, b = double(2, 3), double(2, 3)
    W, u, zero = linearize(gated, (a, b)).operator(), double(2, 3), torch.zeros(2, 3).double()
    torch.testing.assert_close(W @ (a, b), gated(a, b), **ROUNDING)
    torch.testing.assert_close(u @ W, (u * torch.sigmoid(b), zero), **ROUNDING)
    torch.testing.assert_close(W @ (zero, b), zero, rtol=0, atol=0)


def test_a_constant_network_has_zero_products() -> None:
    x = double(2, 3)
    W = linearize(lambda x: torch.ones_like(x), x).operator()
    assert not torch.count_nonzero(W @ x)
    assert not torch.count_nonzero(x @ W)


FAMILIES = (
    *("resnet18", "efficientnet_b0", "swin_t", "VisionTransformer", "mobilevit_xxs"),
    *("LlamaForCausalLM (sdpa)", "MambaForCausalLM", "BertForMaskedLM (eager)"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_products_of_an_architecture_of_the_zoo(name: str) -> None:
    """W x + b = F with b from the ledger, and adjoint products."""
    pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
    from comparisons.zoo import ARCHITECTURES

    architecture = next(a for a in ARCHITECTURES if a.name == name)
    pytest.importorskip(architecture.library, reason=f"{architecture.library} is not installed")
    forward = in_double(architecture.forward(architecture.network().double()))
    x = tuple(values.double() for values in architecture.inputs(2))
    affine_map = linearize(forward, x)
    W, F = affine_map.operator(), affine_map.outputs
    u, v = torch.randn_like(F), tuple(torch.randn_like(values) for values in x)
    other = sum((row * part).sum() for row, part in zip(u @ W, v, strict=True))
    one = (u * (W @ v)).sum()
    assert (one - other).abs() <= 1e-12 * u.norm() * (W @ v).norm()
    rows = [3] * len(F)
    error = ((W @ x)[:, 3] + affine_map.bias(rows) - F[:, 3]).abs()
    assert (error <= 1e-10 * F.abs().amax(1)).all()


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_products_for_callers_without_gradients(caller: Any) -> None:
    network, x = relu_mlp(3, 6, 5), double(4, 3)
    expected = linearize(network, x).operator() @ x
    with caller():
        W = linearize(network, x.clone()).operator()
        torch.testing.assert_close(W @ x, expected, rtol=0, atol=0)
        assert (expected @ W).shape == (4, 3)
    assert not expected.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


ADVICE = " Further dimensions, which count vectors, go in front."
INPUTS = "The operand must be shaped like the inputs, shape (4, 3)"
OUTPUTS = "The operand must be shaped like the outputs, shape (4, 5)"
PAIR = "The operand must be shaped like the inputs, a tuple of tensors of shapes (4, 3), (4, 2)"


@pytest.mark.parametrize(
    ("product", "message"),
    [
        (lambda W: W @ double(3), f"{INPUTS}, but got shape (3,).{ADVICE}"),
        (lambda W: W @ double(4, 5), f"{INPUTS}, but got shape (4, 5).{ADVICE}"),
        (lambda W: W @ double(4, 3, 2), f"{INPUTS}, but got shape (4, 3, 2).{ADVICE}"),
        (lambda W: W @ (double(4, 3),), f"{INPUTS}, but got a tuple of 1.{ADVICE}"),
        (lambda W: W @ [1.0], f"{INPUTS}, but got list.{ADVICE}"),
        (lambda W: double(4, 3) @ W, f"{OUTPUTS}, but got shape (4, 3).{ADVICE}"),
        (
            lambda W: W @ torch.ones(4, 3),
            f"{INPUTS}, in torch.float64 on cpu, but got torch.float32 on cpu. Convert it: "
            "`vector.to(dtype, device)`.",
        ),
    ],
)
def test_an_operand_of_the_wrong_shape(product: Any, message: str) -> None:
    W = linearize(relu_mlp(3, 6, 5), double(4, 3)).operator()
    with pytest.raises(OperandError) as error:
        product(W)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("vectors", "got"),
    [
        (double(4, 3), "but got shape (4, 3)"),
        ((double(4, 3),), "but got a tuple of 1"),
        ((double(4, 3), None), "but got NoneType"),
        (
            (double(4, 3), double(6, 4, 2)),
            "but the parts of the tuple hold different numbers of vectors, [(), (6,)]",
        ),
    ],
)
def test_operands_that_are_no_vector_of_several_inputs(vectors: Any, got: str) -> None:
    W = linearize(TwoInputs().double(), (double(4, 3), double(4, 2))).operator()
    with pytest.raises(OperandError) as error:
        W @ vectors
    assert str(error.value) == f"{PAIR}, {got}.{ADVICE}"
