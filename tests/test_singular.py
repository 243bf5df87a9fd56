"""Singular values and vectors, and differences of outputs, against dense matrices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import NotOfferedError, RankError, TargetRangeError, linearize
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp

# Singular values are found to 1e3 units of rounding of the largest, 2.2e-13.
FOUND = {"rtol": 0.0, "atol": 1e-11}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


NETWORKS: dict[str, Any] = {
    "fewer outputs than a block": lambda: (relu_mlp(9, 20, 5), double(3, 9)),
    "several steps": lambda: (relu_mlp(40, 80, 60), double(2, 40)),
    "more outputs than features": lambda: (relu_mlp(3, 20, 50), double(2, 3)),
    "low rank": lambda: (relu_mlp(30, 4, 25), double(2, 30)),
    "convnet": lambda: (ConvNet().double().eval(), double(2, 3, 12, 12)),
    "transformer": lambda: (TinyTransformer(batch_first=True), double(2, 5, 8)),
    "shaped outputs": lambda: (
        nn.Sequential(relu_mlp(12, 30, 20), nn.Unflatten(1, (4, 5))),
        double(2, 12),
    ),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    return NETWORKS[request.param]()


def dense(affine_map: Any) -> Tensor:
    """(batch, outputs, features)."""
    weight, out = affine_map.weight(), affine_map.outputs.dim() - 1
    return weight.flatten(1 + out).flatten(1, out)


def test_values_are_those_of_the_dense_matrix(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    affine_map = linearize(network, x)
    expected = torch.linalg.svdvals(dense(affine_map))
    for k in (1, 3):
        S = affine_map.operator().svd(k).S
        torch.testing.assert_close(S.T, expected[:, :k], **FOUND)
        torch.testing.assert_close(affine_map.operator().T.svd(k).S, S, **FOUND)


def test_vectors_are_shaped_like_inputs_and_outputs(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    affine_map = linearize(network, x)
    W = affine_map.operator()
    U, S, V = W.svd(2)
    assert U.shape == (2, *affine_map.outputs.shape)
    assert V.shape == (2, *x.shape)
    torch.testing.assert_close(W @ V, U * S.reshape(*S.shape, *[1] * (U.dim() - 2)), **FOUND)
    torch.testing.assert_close(U @ W, V * S.reshape(*S.shape, *[1] * (V.dim() - 2)), **FOUND)


def test_vectors_are_orthonormal_in_each_example(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    U, _, V = linearize(network, x).operator().svd(3)
    for vectors in (U, V):
        rows = vectors.flatten(2).transpose(0, 1)
        torch.testing.assert_close(rows @ rows.mT, torch.eye(3).expand(len(x), 3, 3).double())


def test_all_singular_values_give_the_matrix_back() -> None:
    affine_map = linearize(relu_mlp(6, 20, 9), double(3, 6))
    U, S, V = affine_map.operator().svd(6)
    W = torch.einsum("kbo,kb,kbi->boi", U, S, V)
    torch.testing.assert_close(W, dense(affine_map), **FOUND)


def test_several_inputs_have_one_direction_together() -> None:
    affine_map = linearize(TwoInputs().double(), (double(4, 3), double(4, 2)))
    W = torch.cat(affine_map.weight(), 2)
    U, S, (a, b) = affine_map.operator().svd(2)
    torch.testing.assert_close(S.T, torch.linalg.svdvals(W)[:, :2], **FOUND)
    torch.testing.assert_close(torch.cat([a, b], 2).norm(dim=2), torch.ones(2, 4).double())
    torch.testing.assert_close(affine_map.operator() @ (a, b), U * S[:, :, None], **FOUND)


def test_the_random_start_is_the_same_every_time_and_disturbs_nothing() -> None:
    W = linearize(relu_mlp(40, 80, 60), double(2, 40)).operator()
    before = torch.get_rng_state()
    first, second = W.svd(2), W.svd(2)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert torch.equal(before, torch.get_rng_state())


def test_a_map_without_slope_has_singular_values_zero() -> None:
    S = linearize(lambda x: torch.ones_like(x), double(2, 3)).operator().svd(2).S
    assert not torch.count_nonzero(S)


@pytest.mark.parametrize("k", [0, -1, 6, 1.0, True])
def test_a_number_of_singular_values_that_do_not_exist(k: Any) -> None:
    with pytest.raises(RankError) as error:
        linearize(relu_mlp(9, 20, 5), double(3, 9)).operator().svd(k)
    assert str(error.value) == (
        "The number of singular values must be an int from 1 to 5, the smaller of an "
        "example's 9 and 5 numbers on the two sides of Operator(inputs (3, 9) -> outputs "
        f"(3, 5)), but got {k!r}. Ask for fewer."
    )


def test_examples_that_depend_on_each_other() -> None:
    W = linearize(lambda x: x + x.flip(0).cumsum(1), double(2, 3)).operator()
    with pytest.raises(NotOfferedError) as error:
        W.svd(2)
    assert str(error.value) == (
        "Singular values are those of each example's own map, but here an example's outputs "
        "depend on other examples too. Explain one example at a time, or put the model into "
        "evaluation mode."
    )


def test_half_precision() -> None:
    W = linearize(nn.Linear(3, 2).bfloat16(), torch.ones(1, 3).bfloat16()).operator()
    with pytest.raises(NotOfferedError, match="PyTorch decomposes no matrices in half"):
        W.svd(1)


def test_blocks_of_one_number_on_a_side() -> None:
    affine_map = linearize(relu_mlp(9, 20, 5), double(3, 9))
    W, J = affine_map.operator(), affine_map.weight()
    U, S, V = W.part(outputs=2).svd(1)
    torch.testing.assert_close(S[0], J[:, 2].norm(dim=1), **FOUND)
    assert (U.shape, V.shape) == ((1, 3), (1, 3, 9))
    U, S, V = W.part(features=4).svd(1)
    torch.testing.assert_close(S[0], J[:, :, 4].norm(dim=1), **FOUND)
    assert (U.shape, V.shape) == ((1, 3, 5), (1, 3))


# differences


def test_a_difference_is_that_of_two_rows(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    affine_map = linearize(network, x)
    a, b = ((1,) * (affine_map.outputs.dim() - 1), (2,) * (affine_map.outputs.dim() - 1))
    weight, bias = affine_map.difference(a, b)
    torch.testing.assert_close(weight, affine_map.weight(a) - affine_map.weight(b), **FOUND)
    torch.testing.assert_close(bias, affine_map.bias(a) - affine_map.bias(b), **FOUND)
    value = affine_map.outputs[(slice(None), *a)] - affine_map.outputs[(slice(None), *b)]
    torch.testing.assert_close((weight * x).flatten(1).sum(1) + bias, value, **FOUND)


def test_a_difference_for_each_example_and_several_inputs() -> None:
    affine_map = linearize(TwoInputs().double(), (double(2, 3), double(2, 2)))
    weight, _ = affine_map.difference([0, 1], 2)
    for part, rows in zip(weight, affine_map.weight(), strict=True):
        expected = torch.stack([rows[0, 0] - rows[0, 2], rows[1, 1] - rows[1, 2]])
        torch.testing.assert_close(part, expected, **FOUND)


def test_a_difference_from_an_output_that_does_not_exist() -> None:
    with pytest.raises(TargetRangeError, match="The target 7 is out of range"):
        linearize(relu_mlp(9, 20, 5), double(3, 9)).difference(0, 7)
