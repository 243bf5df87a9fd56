"""nn.RNN, LSTM and GRU against the recursion step by step, gates held and tanh a chord."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

from tests.definitions import Pair, assert_defined, joined

INPUT, HIDDEN, LENGTH = 3, 2, 3
KINDS = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "tanh": lambda *a, **k: nn.RNN(*a, nonlinearity="tanh", **k),
    "ReLU": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
}


def _randomized(module: nn.Module) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.6)
    return module.double().eval()


def _sigmoid(z: Tensor) -> Tensor:
    return 1 / (1 + (-z).exp())


def _tanh(z: Tensor) -> Tensor:
    return 1 - 2 / ((2 * z).exp() + 1)


def _constant(value: Tensor) -> Pair:
    return Pair(value, value)


class Cell:
    """One layer in one direction: its weights by name, for one row at a time."""

    def __init__(self, module: Any, suffix: str) -> None:
        def weight(name: str) -> Tensor:
            found = getattr(module, name + suffix, None)
            return torch.zeros(1).double() if found is None else found.detach()

        self.kind = getattr(module, "mode", type(module).__name__.removesuffix("Cell"))
        self.w, self.u = weight("weight_ih"), weight("weight_hh")
        self.b, self.c = weight("bias_ih"), weight("bias_hh")
        self.projection = weight("weight_hr") if getattr(module, "proj_size", 0) else None
        self.nonlinearity = getattr(module, "nonlinearity", "")

    def __call__(self, x: Pair, state: list[Pair]) -> list[Pair]:
        into = x.map(lambda x: x @ self.w.T + self.b)
        back = state[0].map(lambda h: h @ self.u.T + self.c)
        if self.kind == "LSTM":
            return self._long_short(into + back, state[1])
        if self.kind == "GRU":
            return [self._gated(into, back, state[0])]
        phi = (lambda z: z * (z > 0)) if "relu" in self.nonlinearity else _tanh
        return [(into + back).chord(phi)]

    def _long_short(self, gates: Pair, memory: Pair) -> list[Pair]:
        i, f, g, o = (gates.map(lambda z, n=n: z.chunk(4, -1)[n]) for n in range(4))
        kept = memory.map(lambda c: _sigmoid(f.point) * c)
        memory = kept + g.chord(_tanh).map(lambda g: _sigmoid(i.point) * g)
        h = memory.chord(_tanh).map(lambda c: _sigmoid(o.point) * c)
        return [
            h if self.projection is None else h.map(lambda h: h @ self.projection.T),
            memory,
        ]

    def _gated(self, into: Pair, back: Pair, h: Pair) -> Pair:
        r = _sigmoid(into.point.chunk(3, -1)[0] + back.point.chunk(3, -1)[0])
        z = _sigmoid(into.point.chunk(3, -1)[1] + back.point.chunk(3, -1)[1])
        new = joined(lambda i, b: i.chunk(3, -1)[2] + r * b.chunk(3, -1)[2], into, back)
        return joined(lambda n, h: (1 - z) * n + z * h, new.chord(_tanh), h)


def _row(module: Any, steps: list[Pair], starts: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """One row through every layer: outputs at each step; final states, stacked over layers."""
    directions, finals = 2 if module.bidirectional else 1, []
    for layer in range(module.num_layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            cell = Cell(module, f"_l{layer}" + "_reverse" * direction)
            state = [start.map(lambda s, n=number: s[n]) for start in starts]
            along = []
            for x in steps[:: -1 if direction else 1]:
                state = cell(x, state)
                along.append(state[0])
            outputs.append(along[:: -1 if direction else 1])
            finals.append(state)
        steps = [
            joined(lambda *h: torch.cat(h, -1), *both) for both in zip(*outputs, strict=True)
        ]
    return steps, [
        joined(lambda *s: torch.stack(s), *part) for part in zip(*finals, strict=True)
    ]


def _starts(module: Any) -> list[Pair]:
    layers = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or module.hidden_size, module.hidden_size]
    count = 2 if module.mode == "LSTM" else 1
    return [_constant(torch.zeros(layers, size).double()) for size in sizes[:count]]


def _definition(module: Any, lengths: list[int] | None = None) -> Any:
    """Outputs, zero beyond each row's length, and final states, in one row of numbers."""

    def definition(x: Pair, *starts: Pair) -> Pair:
        rows = []
        for number in range(len(x.point)):
            length = LENGTH if lengths is None else lengths[number]
            steps = [x.map(lambda x, n=number, t=t: x[n, t]) for t in range(length)]
            own = [s.map(lambda s, n=number: s[n]) for s in starts] or _starts(module)
            outputs, finals = _row(module, steps, own)
            zeros = [_constant(torch.zeros_like(outputs[0].point))] * (LENGTH - length)
            parts = [*outputs, *zeros, *finals]
            rows.append(joined(lambda *p: torch.cat([y.reshape(-1) for y in p]), *parts))
        return joined(lambda *rows: torch.stack(rows), *rows)

    return definition


def _flat(output: Tensor, state: Any) -> Tensor:
    """Batch-first outputs, and states with the batch second, as the definition has them."""
    states = state if isinstance(state, tuple) else (state,)
    return torch.cat([output.flatten(1), *(s.transpose(0, 1).flatten(1) for s in states)], 1)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "dropout": 0.5},
]


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_layers(kind: str, options: dict[str, Any], batch_first: bool) -> None:
    module = _randomized(KINDS[kind](INPUT, HIDDEN, batch_first=batch_first, **options))

    def forward(x: Tensor) -> Tensor:
        if batch_first:
            return _flat(*module(x))
        output, state = module(x.transpose(0, 1))
        return _flat(output.transpose(0, 1), state)

    assert_defined(forward, _definition(module), torch.randn(2, LENGTH, INPUT).double())


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_projected_layers(options: dict[str, Any]) -> None:
    module = _randomized(nn.LSTM(INPUT, 3, proj_size=2, batch_first=True, **options))
    x = torch.randn(2, LENGTH, INPUT).double()
    assert_defined(lambda x: _flat(*module(x)), _definition(module), x)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_states_are_explained_too(kind: str) -> None:
    module = _randomized(KINDS[kind](INPUT, HIDDEN, 2, batch_first=True, bidirectional=True))
    count = 2 if kind == "LSTM" else 1

    def forward(x: Tensor, *starts: Tensor) -> Tensor:
        states = tuple(start.transpose(0, 1).contiguous() for start in starts)
        return _flat(*module(x, states if kind == "LSTM" else states[0]))

    starts = torch.randn(count, 2, 4, HIDDEN).double()
    x = torch.randn(2, LENGTH, INPUT).double()
    assert_defined(forward, _definition(module), x, *starts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_without_a_batch(kind: str) -> None:
    module = _randomized(KINDS[kind](INPUT, HIDDEN))

    def forward(x: Tensor) -> Tensor:
        output, state = module(x[0])
        states = state if isinstance(state, tuple) else (state,)
        return torch.cat([output.flatten(), *(s.flatten() for s in states)]).unsqueeze(0)

    assert_defined(forward, _definition(module), torch.randn(1, LENGTH, INPUT).double())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    "lengths", [[3, 2, 1], [2, 3, 1], [2, 2, 2]], ids=["sorted", "unsorted", "equal"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences(kind: str, lengths: list[int], bidirectional: bool) -> None:
    options = {"batch_first": True, "bidirectional": bidirectional}
    module = _randomized(KINDS[kind](INPUT, HIDDEN, **options))
    is_sorted = lengths == sorted(lengths, reverse=True)

    def forward(x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, True, enforce_sorted=is_sorted)
        output, state = module(packed)
        padded, told = pad_packed_sequence(output, batch_first=True, total_length=LENGTH)
        assert torch.equal(told, lengths)
        return _flat(padded, state)

    def definition(x: Pair, lengths: Tensor) -> Pair:
        return _definition(module, lengths.tolist())(x)

    x = torch.randn(3, LENGTH, INPUT).double()
    assert_defined(forward, definition, x, constants=(torch.tensor(lengths),))


def test_packed_sequences_by_hand_with_initial_states() -> None:
    """pack_sequence of slices; the states are sorted with the rows."""
    module, lengths = _randomized(nn.GRU(INPUT, HIDDEN)), [2, 3]

    def forward(x: Tensor, start: Tensor, lengths: Tensor) -> Tensor:
        rows = [row[:length] for row, length in zip(x, lengths.tolist(), strict=True)]
        packed = pack_sequence(rows, enforce_sorted=False)
        assert isinstance(packed, PackedSequence)
        output, state = module(packed, start.transpose(0, 1))
        padded, _ = pad_packed_sequence(output, batch_first=True, total_length=LENGTH)
        return _flat(padded, state)

    def definition(x: Pair, start: Pair, lengths: Tensor) -> Pair:
        return _definition(module, lengths.tolist())(x, start)

    x, start = torch.randn(2, LENGTH, INPUT).double(), torch.randn(2, 1, HIDDEN).double()
    assert_defined(forward, definition, x, start, constants=(torch.tensor(lengths),))


CELLS = {
    "LSTM": nn.LSTMCell,
    "GRU": nn.GRUCell,
    "tanh": nn.RNNCell,
    "relu": lambda *a, **k: nn.RNNCell(*a, nonlinearity="relu", **k),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("written", ["joined", "buffer", "state in place"])
@pytest.mark.parametrize("kind", CELLS)
def test_loops_over_cells(kind: str, written: str, bias: bool) -> None:
    module = _randomized(CELLS[kind](INPUT, HIDDEN, bias=bias))

    def forward(x: Tensor, start: Tensor) -> Tensor:
        h, c = start, torch.zeros_like(start)
        buffer, rows = torch.zeros(len(x), LENGTH, HIDDEN, dtype=x.dtype), []
        kept = torch.zeros(len(x), HIDDEN, dtype=x.dtype)
        for place in range(LENGTH):
            if kind == "LSTM":
                h, c = module(x[:, place], (h, c))
            else:
                h = module(x[:, place], h)
            buffer[:, place] = h
            rows.append(h)
            if written == "state in place":
                kept = kept.clone().copy_(h).mul_(0.5)
                h = kept
        return (buffer if written == "buffer" else torch.stack(rows, 1)).flatten(1)

    def definition(x: Pair, start: Pair) -> Pair:
        cell = Cell(module, "")
        state, rows = [start, _constant(torch.zeros_like(start.point))], []
        for place in range(LENGTH):
            state = cell(x.map(lambda x, t=place: x[:, t]), state)
            rows.append(state[0])
            if written == "state in place":
                state[0] = state[0].map(lambda h: h * 0.5)
        return joined(lambda *rows: torch.cat(rows, 1), *rows)

    x, start = torch.randn(2, LENGTH, INPUT).double(), torch.randn(2, HIDDEN).double()
    assert_defined(forward, definition, x, start)


def test_a_cell_without_a_batch() -> None:
    module = _randomized(nn.LSTMCell(INPUT, HIDDEN))

    def definition(x: Pair) -> Pair:
        zeros = [_constant(torch.zeros(1, HIDDEN).double())] * 2
        return joined(lambda h, c: torch.cat([h, c], 1), *Cell(module, "")(x, zeros))

    def forward(x: Tensor) -> Tensor:
        return torch.cat(module(x[0])).unsqueeze(0)

    assert_defined(forward, definition, torch.randn(1, INPUT).double())
