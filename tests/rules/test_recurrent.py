"""Recurrent layers and cells in all their options: exact, and no longer one opaque op."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, linearize

TABLES = [DEFAULT_RULES, TANGENT_RULES]
LAYERS = [nn.LSTM, nn.GRU, nn.RNN]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "batch_first": False},
    {"num_layers": 2, "dropout": 0.5},
]


def _randomized(module: nn.Module) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


def _check(forward: Any, inputs: Any, table: Any) -> None:
    affine_map = linearize(forward, inputs, rules=table, strict=True)
    affine_map.check(tolerance=1e-12)
    if table is TANGENT_RULES and isinstance(inputs, Tensor):
        jacobian = torch.autograd.functional.jacobian(lambda x: forward(x).sum(0), inputs)
        weight = affine_map.weight()
        assert isinstance(weight, Tensor)
        assert torch.allclose(weight.movedim(0, weight.dim() - inputs.dim()), jacobian)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer: Any, options: dict[str, Any], table: Any) -> None:
    recurrent = _randomized(layer(3, 4, **{"batch_first": True, **options}))

    def forward(x: Tensor) -> Tensor:
        steps = x if recurrent.batch_first else x.transpose(0, 1)
        output, state = recurrent(steps)
        output = output if recurrent.batch_first else output.transpose(0, 1)
        ends = state if isinstance(state, tuple) else (state,)
        return torch.cat([output[:, -1], output[:, 0], *(end[-1] for end in ends)], 1)

    _check(forward, torch.randn(2, 5, 3, dtype=torch.float64), table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("layer", LAYERS)
def test_packed_sequences(layer: Any, table: Any) -> None:
    recurrent = _randomized(layer(3, 4, 2, batch_first=True, bidirectional=True))

    def forward(x: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, torch.tensor([3, 5, 2]), True, enforce_sorted=False)
        output, state = recurrent(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True)
        ends = state if isinstance(state, tuple) else (state,)
        return torch.cat([padded.flatten(1), *(end[-1] + end[0] for end in ends)], 1)

    _check(forward, torch.randn(3, 5, 3, dtype=torch.float64), table)


def test_projected_lstm_with_initial_states_as_inputs() -> None:
    recurrent = _randomized(nn.LSTM(3, 4, proj_size=2, batch_first=True))

    def forward(x: Tensor, h: Tensor, c: Tensor) -> Tensor:
        output, (last_h, last_c) = recurrent(x, (h.unsqueeze(0), c.unsqueeze(0)))
        return torch.cat([output.flatten(1), last_h[0], last_c[0]], 1)

    x, h, c = torch.randn(2, 5, 3), torch.randn(2, 2), torch.randn(2, 4)
    _check(forward, (x.double(), h.double(), c.double()), DEFAULT_RULES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh", "lstm", "gru"])
def test_cells(nonlinearity: str, table: Any) -> None:
    cells = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}
    made = (
        cells[nonlinearity](3, 4)
        if nonlinearity in cells
        else nn.RNNCell(3, 4, True, nonlinearity)
    )
    cell = _randomized(made)

    def forward(x: Tensor) -> Tensor:
        state = cell(x[:, 0])
        state = cell(x[:, 1], state)
        return torch.cat(state, 1) if isinstance(state, tuple) else state

    _check(forward, torch.randn(2, 2, 3, dtype=torch.float64), table)


def test_the_relu_layer() -> None:
    recurrent = _randomized(nn.RNN(3, 4, nonlinearity="relu", batch_first=True))
    _check(lambda x: recurrent(x)[0][:, -1], torch.randn(2, 5, 3).double(), DEFAULT_RULES)


def test_gates_are_held() -> None:
    """One LSTM step from a zero state: W is the output gate's and input gate's scale of g."""
    cell = _randomized(nn.LSTMCell(2, 3))
    x = torch.randn(1, 2, dtype=torch.float64)
    weight = linearize(lambda x: cell(x)[0], x).weight()
    i, _, g, o = (cell.weight_ih @ x[0] + cell.bias_ih + cell.bias_hh).detach().chunk(4)
    c = torch.sigmoid(i) * torch.tanh(g)
    scale = torch.sigmoid(o) * (torch.tanh(c) / c) * torch.sigmoid(i) * (torch.tanh(g) / g)
    expected = scale[:, None] * cell.weight_ih.detach()[6:9]
    assert isinstance(weight, Tensor)
    assert torch.allclose(weight[0], expected)
