"""Evaluation at another point: W x + b, and the frozen network run there."""

from __future__ import annotations

from itertools import count

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, NotOfferedError, PointError, ReplayError, linearize
from tests.networks import ConvNet, TwoInputs, relu_mlp, residual_convnet, smooth_mlp

# Sums of at most some hundred terms in two orders: a few hundred units of rounding.
ERROR = 1e-13


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0][:, -1]


def branching(x: Tensor) -> Tensor:
    """In-place writes, views, selections, a branch on values, and a part without gradients."""
    y = F.leaky_relu(F.relu(x - 0.1, inplace=True) - 0.2, 0.1, True)
    z = torch.where(x > 0, x * 2, x)
    z[:, 0] = z[:, 1]
    if x.sum() > 0:
        z = torch.sigmoid(z) * z
    largest = x.max(1, keepdim=True)
    chosen = largest.values * F.one_hot(largest.indices.squeeze(1), x.shape[1])
    parts = x[:, :2].clone()
    parts[:, 0].relu_()
    parts = parts + 0
    parts.clamp_(-0.5, 0.5)
    with torch.no_grad():
        gate = torch.sigmoid(x)
    sums = torch.topk(x, 2, 1).values.abs().sum(1, keepdim=True)
    return y + z + chosen + gate * x + parts.sum(1, keepdim=True) + sums + x.softmax(1)


NETWORKS = {
    "relu": (lambda: relu_mlp(4, 6, 3), (2, 4)),
    "gelu": (smooth_mlp, (2, 3)),
    "convolutions": (ConvNet, (2, 3, 12, 12)),
    "residual": (residual_convnet, (2, 3, 12, 12)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu"),
        (2, 5, 8),
    ),
    "lstm": (Recurrent, (2, 5, 3)),
    "branching": (lambda: branching, (3, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_map_and_replay_agree_everywhere_and_with_the_network_at_home(name: str) -> None:
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make()
    if isinstance(network, nn.Module):
        network.double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    affine_map = linearize(network, x)
    for point in (x, torch.zeros_like(x), 3 * torch.randn_like(x)):
        value = affine_map(point)
        torch.testing.assert_close(affine_map.replay(point), value, atol=ERROR, rtol=ERROR)
    torch.testing.assert_close(affine_map(x), network(x), atol=ERROR, rtol=ERROR)
    torch.testing.assert_close(affine_map.replay(x), network(x), atol=ERROR, rtol=ERROR)
    replay_error = affine_map.certificate(thorough=True).replay_error
    assert replay_error is not None
    assert replay_error <= ERROR


def test_map_elsewhere_is_weight_times_point_plus_bias() -> None:
    torch.manual_seed(0)
    x, point = torch.randn(2, 3, 4, dtype=torch.float64)
    affine_map = linearize(relu_mlp(4, 6, 3), x)
    weight, bias = affine_map.weight(), affine_map.bias()
    assert isinstance(weight, Tensor)
    expected = torch.einsum("bof,bf->bo", weight, point) + bias
    torch.testing.assert_close(affine_map(point), expected, atol=ERROR, rtol=ERROR)
    torch.testing.assert_close(affine_map(torch.zeros_like(x)), bias, atol=ERROR, rtol=ERROR)


def test_several_inputs() -> None:
    torch.manual_seed(0)
    x = (torch.randn(2, 3).double(), torch.randn(2, 2).double())
    point = (torch.randn(2, 3).double(), torch.randn(2, 2).double())
    affine_map = linearize(TwoInputs().double(), x)
    torch.testing.assert_close(
        affine_map(point), affine_map.replay(point), atol=ERROR, rtol=ERROR
    )


def test_constant_output_is_its_own_map() -> None:
    affine_map = linearize(lambda x: x.sign(), torch.ones(1, 2))
    assert torch.equal(affine_map(-torch.ones(1, 2)), torch.ones(1, 2))
    assert torch.equal(affine_map.replay(-torch.ones(1, 2)), torch.ones(1, 2))


def test_only_a_thorough_certificate_catches_a_gate_that_is_detached_but_not_held() -> None:
    """Value, affinity and completeness are exact; elsewhere the gate would be another."""
    rules = DEFAULT_RULES | {
        F.silu: lambda input, inplace=False: input * torch.sigmoid(input.detach())
    }
    x = torch.randn(2, 3, dtype=torch.float64)
    affine_map = linearize(F.silu, x, rules=rules)
    assert affine_map.certificate().largest_error < ERROR
    assert affine_map.certificate(thorough=True).largest_error > 0.01


def test_another_sequence_of_ops_is_an_error_that_names_the_op() -> None:
    calls = count()

    class Alternating(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.tanh() if next(calls) % 2 else x.relu()

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Alternating()

        def forward(self, x: Tensor) -> Tensor:
            return self.block(2 * x)

    affine_map = linearize(Network(), torch.ones(1, 2))
    with pytest.raises(ReplayError) as error:
        affine_map.replay(torch.ones(1, 2))
    assert str(error.value) == (
        "The forward function takes another path at x: its treated op number 2 is relu in "
        "'block'; recorded at the operating point was tanh in 'block'. Its branches depend on "
        "something that no op call shows (chance, a counter, values read through NumPy), so "
        "the frozen network has no value there. Make the function the same at each call."
    )


@pytest.mark.parametrize("is_longer", [False, True])
def test_a_longer_or_shorter_sequence_is_an_error(is_longer: bool) -> None:
    calls = count(int(is_longer))

    def forward(x: Tensor) -> Tensor:
        return x.relu() if next(calls) % 2 else x.relu() + 1

    affine_map = linearize(forward, torch.ones(1, 2))
    found, recorded = ("add", "the end") if not is_longer else ("the end", "add")
    with pytest.raises(ReplayError, match=f"number 2 is {found}; recorded .* was {recorded}"):
        affine_map.replay(torch.ones(1, 2))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, *vectors: Tensor) -> Tensor:
        return 2 * vectors[0]


def test_a_custom_function_cannot_be_replayed() -> None:
    with pytest.warns(UserWarning, match="No rule for"):
        affine_map = linearize(Doubled.apply, torch.ones(1, 2))
    with pytest.raises(
        NotOfferedError, match=r"custom autograd.Function .* cannot be replayed"
    ):
        affine_map.replay(torch.ones(1, 2))


def test_a_detachment_in_place_cannot_be_replayed() -> None:
    affine_map = linearize(lambda x: x.clone().detach_() + x, torch.ones(1, 2))
    with pytest.raises(NotOfferedError, match="detach_ cannot be replayed, because it holds"):
        affine_map.replay(torch.ones(1, 2))


def test_an_exported_program_is_replayed() -> None:
    torch.manual_seed(0)
    model, x = ConvNet().double().eval(), torch.randn(1, 3, 12, 12).double()
    affine_map = linearize(torch.export.export(model, (x,)).module(), x)
    replay_error = affine_map.certificate(thorough=True).replay_error
    assert replay_error is not None
    assert replay_error <= ERROR


def test_point_of_another_shape_or_kind() -> None:
    affine_map = linearize(torch.relu, torch.ones(2, 3))
    with pytest.raises(PointError) as error:
        affine_map(torch.ones(1, 3))
    assert str(error.value) == (
        "x has shape (1, 3); expected (2, 3), because a map belongs to the rows that it was "
        "made at. Linearize at one example to follow that."
    )
    with pytest.raises(PointError) as error:
        affine_map.replay([1.0, 2.0])  # type: ignore[arg-type]
    assert str(error.value) == "x is a list; expected (2, 3), as the inputs are."


def test_inputs_overwritten_since_are_noticed() -> None:
    x = torch.randn(2, 3, dtype=torch.float64)
    affine_map = linearize(torch.tanh, x)
    x.neg_().mul_(2)
    with pytest.raises(ReplayError, match="gives other outputs now at ``inputs``"):
        affine_map.replay(torch.ones(2, 3, dtype=torch.float64))
