"""Networks under the tables that split products: recurrent ones by hand, all of them exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from captum_ilin import RuleTable, check_affine_map, linearize
from tests.definitions import Pair, assert_defined, joined
from tests.networks import (
    ConvNet,
    TinyTransformer,
    TwoInputs,
    relu_mlp,
    residual_convnet,
    smooth_mlp,
)
from tests.rules.halves import ROUNDING, SPLITS, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable


def _sigmoid(z: Pair) -> Pair:
    s = torch.sigmoid(z.point)
    return z.tangent(torch.sigmoid, s * (1 - s))


@SPLITS
@pytest.mark.parametrize("layer", [nn.LSTM, nn.LSTMCell])
def test_lstm_gates_get_half(layer: Any, rules: RuleTable) -> None:
    lstm = layer(2, 3).double()
    w_ih, w_hh, b_ih, b_hh = (p.detach() for p in lstm.parameters())
    start = (torch.randn(1, 3).double(), torch.randn(1, 3).double())

    def forward(x: Tensor) -> Tensor:
        state = tuple(part.expand(len(x), -1) for part in start)
        if layer is nn.LSTM:
            return lstm(x.transpose(0, 1), tuple(part.unsqueeze(0) for part in state))[0][-1]
        for step in x.unbind(1):
            state = lstm(step, state)
        return state[0]

    def definition(x: Pair) -> Pair:
        h, c = (joined(lambda z, p=p: 0 * z[:, 0, :1] + p, x) for p in start)
        for number in range(x.point.shape[1]):
            gates = joined(
                lambda x, h, n=number: x[:, n] @ w_ih.T + h @ w_hh.T + b_ih + b_hh, x, h
            )
            i, f, g, o = (gates.map(lambda z, n=n: z.chunk(4, -1)[n]) for n in range(4))
            c = _sigmoid(f).split(c, torch.mul) + _sigmoid(i).split(
                g.chord(torch.tanh), torch.mul
            )
            h = _sigmoid(o).split(c.chord(torch.tanh), torch.mul)
        return h

    assert_defined(forward, definition, torch.randn(2, 3, 2).double(), rules=rules)


@SPLITS
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_row_of_a_packed_sequence_is_the_same_alone(layer: Any, rules: RuleTable) -> None:
    """Its initial state is constant alone; in company a longer row's is active beside it."""
    recurrent = layer(3, 4, 2, batch_first=True, bidirectional=True).double()
    start = torch.randn(4, 1, 4).double()
    lengths = torch.tensor([3, 5, 2])

    def forward(x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        state = start.expand(-1, len(x), -1).contiguous()
        output, _ = recurrent(packed, (state, state) if layer is nn.LSTM else state)
        return pad_packed_sequence(output, batch_first=True, total_length=5)[0].flatten(1)

    x = torch.randn(3, 5, 3).double()
    affine_map = linearize(forward, x, additional_forward_args=lengths, rules=rules)
    affine_map.check(tolerance=1e-12)
    for row in range(3):
        alone = linearize(
            forward,
            x[row : row + 1],
            additional_forward_args=lengths[row : row + 1],
            rules=rules,
        )
        both = (affine_map.weight()[row], alone.weight()[0])
        torch.testing.assert_close(*both, **ROUNDING)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "relu_mlp": (lambda: relu_mlp(3, 6, 5, 4), ((3,),)),
    "smooth_mlp": (smooth_mlp, ((3,),)),
    "convnet": (ConvNet, ((3, 12, 12),)),
    "residual": (residual_convnet, ((3, 12, 12),)),
    "two inputs": (lambda: TwoInputs().double(), ((3,), (2,))),
    "transformer": (lambda: TinyTransformer(batch_first=True), ((5, 8),)),
    "sequence first": (lambda: TinyTransformer(batch_first=False), ((5, 8),)),
}


@SPLITS
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_exact(name: str, rules: RuleTable) -> None:
    make, shapes = NETWORKS[name]
    network, inputs = make(), tuple(torch.randn(2, *shape).double() for shape in shapes)
    affine_map = linearize(network, inputs, rules=rules, strict=True)
    certificate = check_affine_map(affine_map)
    assert certificate.value_error <= 1e-12
    assert certificate.completeness_error <= 1e-11
    assert certificate.rules == rules.name


@pytest.mark.parametrize("name", ["relu_mlp", "convnet", "residual", "two inputs"])
def test_all_tables_agree_on_relu_networks(name: str) -> None:
    """Without products and smooth functions there is one map: InputXGradient's."""
    make, shapes = NETWORKS[name]
    network, inputs = make(), tuple(torch.randn(2, *shape).double() for shape in shapes)
    leaves = tuple(x.clone().requires_grad_() for x in inputs)
    gradients = torch.autograd.grad(network(*leaves)[:, 1].sum(), leaves)
    for rules in TABLES:
        weights = linearize(network, inputs, rules=rules, strict=True).weight(1)
        for weight, gradient in zip(weights, gradients, strict=True):
            torch.testing.assert_close(weight, gradient, **ROUNDING)


def test_the_tables_differ_where_they_say_so() -> None:
    """Attention and norms together: no two tables give the same map."""
    network, x = TinyTransformer(batch_first=True), torch.randn(2, 5, 8).double()
    weights = [linearize(network, x, rules=rules).weight(0) for rules in TABLES]
    for number, one in enumerate(weights):
        for other in weights[:number]:
            assert (one - other).abs().max() > 1e-3 * one.abs().max()
