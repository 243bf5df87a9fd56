"""Recurrent layers and cells, spelled out: they reach torch as one op.

Each step then freezes by the ordinary rules: the sigmoid gates are held, tanh is a secant,
and the state flows. Formulas as in torch.nn's documentation of LSTM, GRU and RNN. A packed
sequence and a plain one are the same here: a list of steps, longest rows first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.holding import hold
from captum_ilin.rule import Kind
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES", "gated"]

RULES = RuleTable()
RULES.runs(Kind.LINEAR, torch._VF._pack_padded_sequence)
RULES.runs(Kind.AFFINE, torch._VF._pad_packed_sequence)

State = list[Tensor]  # [h], or [h, c]
Cell = Callable[..., State]


def gated(gate: Tensor, value: Tensor) -> Tensor:
    """gate · value as an op of its own."""
    if not has_torch_function((gate, value)):
        return gate * value
    result: Tensor = handle_torch_function(gated, (gate, value), gate, value)
    return result


@RULES.freezes(gated)
def held_gate(gate: Tensor, value: Tensor) -> Tensor:
    """The gate held, beside a constant value too.

    Whether a row's initial state is constant depends, in a packed sequence, on the other
    rows; its gates are held in any company.
    """
    return hold(gate) * value


@RULES.decomposes(torch.lstm_cell)
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""
    h, c = _lstm_step(input, list(hx), w_ih, w_hh, b_ih, b_hh)
    return h, c


@RULES.decomposes(torch.gru_cell)
def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """Gated recurrent unit (Cho et al. 2014)."""
    return _gru_step(input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@RULES.decomposes(torch.rnn_tanh_cell)
def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    return _rnn_step(torch.tanh, input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@RULES.decomposes(torch.rnn_relu_cell)
def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    return _rnn_step(torch.relu, input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@RULES.decomposes(torch.lstm)
def lstm(*args: Any) -> tuple[Tensor, ...]:
    """torch.lstm of a padded or a packed sequence: (output, h_n, c_n)."""
    return _layers(_lstm_step, *_read(args))


@RULES.decomposes(torch.gru)
def gru(*args: Any) -> tuple[Tensor, ...]:
    """torch.gru of a padded or a packed sequence: (output, h_n)."""
    return _layers(_gru_step, *_read(args))


@RULES.decomposes(torch.rnn_tanh)
def rnn_tanh(*args: Any) -> tuple[Tensor, ...]:
    """torch.rnn_tanh of a padded or a packed sequence: (output, h_n)."""
    return _layers(partial(_rnn_step, torch.tanh), *_read(args))


@RULES.decomposes(torch.rnn_relu)
def rnn_relu(*args: Any) -> tuple[Tensor, ...]:
    """torch.rnn_relu of a padded or a packed sequence: (output, h_n)."""
    return _layers(partial(_rnn_step, torch.relu), *_read(args))


def _lstm_step(
    x: Tensor,
    state: State,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    w_hr: Tensor | None = None,
) -> State:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), projected if w_hr is given."""
    h, c = state
    gates = F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)
    i, f, g, o = gates.chunk(4, -1)
    c = gated(f.sigmoid(), c) + gated(i.sigmoid(), g.tanh())
    h = gated(o.sigmoid(), c.tanh())
    return [h if w_hr is None else F.linear(h, w_hr), c]


def _gru_step(
    x: Tensor,
    state: State,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> State:
    """n = tanh(x_n + σ(r) h_n), h' = (1 − σ(z)) n + σ(z) h."""
    (h,) = state
    x_r, x_z, x_n = F.linear(x, w_ih, b_ih).chunk(3, -1)
    h_r, h_z, h_n = F.linear(h, w_hh, b_hh).chunk(3, -1)
    n = torch.tanh(x_n + gated(torch.sigmoid(x_r + h_r), h_n))
    return [n + gated(torch.sigmoid(x_z + h_z), h - n)]


def _rnn_step(
    activation: Callable[[Tensor], Tensor],
    x: Tensor,
    state: State,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> State:
    """h' = φ(W x + b + W' h + b')."""
    return [activation(F.linear(x, w_ih, b_ih) + F.linear(state[0], w_hh, b_hh))]


@dataclass(frozen=True)
class _Options:
    """What the ops are told beside data, state and weights."""

    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool = False
    row_counts: tuple[int, ...] | None = None  # of every step, for a packed sequence


def _read(args: tuple[Any, ...]) -> tuple[Tensor, State, list[Tensor], _Options]:
    """Both signatures of the ops: a packed sequence has its batch sizes second."""
    packed = isinstance(args[3], (list, tuple))
    data, hx, weights, *rest = (args[0], *args[2:]) if packed else args
    options = _Options(*rest)
    if packed:
        options = replace(options, row_counts=tuple(args[1].tolist()))
    state = list(hx) if isinstance(hx, (list, tuple)) else [hx]
    return data, state, list(weights), options


def _layers(
    cell: Cell, data: Tensor, state: State, weights: list[Tensor], options: _Options
) -> tuple[Tensor, ...]:
    """All layers and directions: the last layer's outputs, and every final state."""
    steps = _steps(data, options)
    directions = 2 if options.bidirectional else 1
    count = len(weights) // (options.num_layers * directions)
    finals: list[State] = []
    for layer in range(options.num_layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            own = _arguments(weights[number * count : (number + 1) * count], options)
            start = [part[number] for part in state]
            along, final = _direction(cell, steps, start, own, backwards=direction == 1)
            outputs.append(along)
            finals.append(final)
        steps = [torch.cat(both, -1) for both in zip(*outputs, strict=True)]
        if options.dropout and options.train and layer < options.num_layers - 1:
            steps = [F.dropout(step, options.dropout) for step in steps]
    ends = [torch.stack(parts) for parts in zip(*finals, strict=True)]
    return _joined(steps, options), *ends


def _steps(data: Tensor, options: _Options) -> list[Tensor]:
    """One tensor (rows, features) for each time step."""
    if options.row_counts is not None:
        return list(data.split(options.row_counts))
    return list(data.unbind(1 if options.batch_first else 0))


def _joined(steps: list[Tensor], options: _Options) -> Tensor:
    if options.row_counts is not None:
        return torch.cat(steps)
    return torch.stack(steps, 1 if options.batch_first else 0)


def _arguments(weights: list[Tensor], options: _Options) -> list[Tensor | None]:
    """w_ih, w_hh, b_ih, b_hh, and w_hr of a projected LSTM."""
    if options.has_biases:
        return list(weights)
    w_ih, w_hh, *projection = weights
    return [w_ih, w_hh, None, None, *projection]


def _direction(
    cell: Cell,
    steps: list[Tensor],
    start: State,
    weights: list[Tensor | None],
    *,
    backwards: bool,
) -> tuple[list[Tensor], State]:
    """Outputs at every step, and the state after each row's last one."""
    order = range(len(steps) - 1, -1, -1) if backwards else range(len(steps))
    outputs: list[Tensor] = [steps[0]] * len(steps)
    state = [part[: len(steps[order[0]])] for part in start]
    ended: list[State] = []
    for number in order:
        rows, running = len(steps[number]), len(state[0])
        if rows < running:  # rows that are over keep their state
            ended.append([part[rows:] for part in state])
            state = [part[:rows] for part in state]
        elif rows > running:  # rows that begin here, seen from the end
            state = [
                torch.cat([part, first[running:rows]])
                for part, first in zip(state, start, strict=True)
            ]
        state = cell(steps[number], state, *weights)
        outputs[number] = state[0]
    return outputs, [
        torch.cat([part, *(over[place] for over in reversed(ended))])
        for place, part in enumerate(state)
    ]
