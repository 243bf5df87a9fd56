"""Random networks: moves composed at random, with branches, reuse, writes and products.

There are two kinds of moves. A *layer* is spelled here and works on a whole batch. A *table
move* is a case of the op table: its active arguments are nudged by values of the network, so
that every op with a case is met in every company, inside its domain. Values are
(batch, features); what is made of another shape is flattened.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import DEFAULT_RULES
from captum_ilin.arguments import mapped, tensors
from captum_ilin.rule import op_name
from tests.rules.test_cases import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rules.cases import Case

__all__ = ["LAYERS", "TABLE", "WIDTH", "Step", "network"]

WIDTH = 4


def _constant(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) / 2


def _fitted(value: Tensor, count: int) -> Tensor:
    """(batch, features) → (batch, count), features repeated or left out."""
    times = -(-count // value.shape[1])
    return value.repeat(1, times)[:, :count]


# Layers: functions of two values (batch, WIDTH).


def _writes_views(a: Tensor, b: Tensor) -> Tensor:
    y = a * 1.5
    whole, turned = y.view(-1, 2, 2), y.t()
    y[:, :2].clamp_(-0.6, 0.6)
    turned[2:] += b.t()[:2]
    whole[:, 0].mul_(torch.sigmoid(b[:, :2]))
    y[:, -1].tanh_()
    return whole.flatten(1) + turned.t()


def _writes_buffer(a: Tensor, b: Tensor) -> Tensor:
    buffer = torch.full((len(a), WIDTH + 1), 0.3, dtype=a.dtype)
    for column in range(WIDTH):
        buffer[:, column + 1] = buffer[:, column] * 0.5 + a[:, column]
    buffer[:, 0] = b[:, 0].relu()
    return buffer.cumsum(1)


def _writes_by_index(a: Tensor, b: Tensor) -> Tensor:
    y = a.clone()
    y[a > b] = 0.25
    y[:, [1, 3]] -= b[:, [0, 2]]
    return y.index_add_(1, torch.tensor([0, 0]), b[:, 2:]).masked_fill_(b > 1, -0.5)


def _augmented(a: Tensor, b: Tensor) -> Tensor:
    y = a + 0.1
    y += b
    y *= a
    y -= 0.3 * y.sigmoid()
    y /= b.square() + 1
    return y


def _attention(a: Tensor, b: Tensor) -> Tensor:
    scores = a.unsqueeze(2) * b.unsqueeze(1)
    return (scores.softmax(-1) @ a.unsqueeze(2)).squeeze(2)


def _fused_attention(a: Tensor, b: Tensor) -> Tensor:
    q, k, v = (y.view(-1, 1, 2, 2) for y in (a, b, a + b))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).flatten(1)


def _convolution(a: Tensor, b: Tensor) -> Tensor:
    both = torch.stack([a, b], 1)
    y = F.conv1d(both, _constant(6, 2, 2, 3), _constant(7, 2), padding=1)
    return F.max_pool1d(F.relu(y, inplace=True), 2).flatten(1)


def _recurrence(a: Tensor, b: Tensor) -> Tensor:
    h = torch.zeros_like(a)
    for step in (a, b, a):
        gate = torch.sigmoid(step @ _constant(8, WIDTH, WIDTH) + h)
        h = gate * h + (1 - gate) * torch.tanh(step)
    return h


def _routed(a: Tensor, b: Tensor) -> Tensor:
    weights, chosen = b.softmax(-1).topk(2)
    experts = torch.stack([a * (number + 1) + number for number in range(WIDTH)], 1)
    picked = experts.gather(1, chosen.unsqueeze(-1).expand(-1, -1, WIDTH))
    return (weights.unsqueeze(-1) * picked).sum(1)


def _branch(a: Tensor, b: Tensor) -> Tensor:
    """Each row on its own: Python decides.

    Clearly, for rounding may decide a tie one way in a batch and another way alone; and with
    one gate rank, 0, whichever way, for a rank is a property of all rows.
    """
    rows = [
        x.relu() + y if x.sum() > y.sum() + 0.01 else y.relu() * 0.5 - x.relu()
        for x, y in zip(a, b, strict=True)
    ]
    return torch.stack(rows) @ _constant(9, WIDTH, WIDTH)


def _complex(value: Tensor) -> Tensor:
    return torch.view_as_complex(value.reshape(-1, 2, 2).contiguous())


LAYERS: list[Callable[[Tensor, Tensor], Tensor]] = [
    *(_writes_views, _writes_buffer, _writes_by_index, _augmented, _attention),
    *(_fused_attention, _convolution, _recurrence, _routed, _branch),
    lambda a, b: F.linear(a, _constant(1, WIDTH, WIDTH), _constant(2, WIDTH)) + b,
    lambda a, b: a + F.gelu(b),
    lambda a, b: F.silu(a) * b,
    lambda a, b: a * b,
    lambda a, b: a / (1 + b.abs()),
    lambda a, b: a.tanh() * b.exp().log1p(),
    lambda a, b: F.layer_norm(a, (WIDTH,), _constant(3, WIDTH), _constant(4, WIDTH)) + b,
    lambda a, b: F.rms_norm(a + b, (WIDTH,), _constant(5, WIDTH), 1e-3),
    lambda a, b: a * torch.rsqrt(a.pow(2).mean(-1, keepdim=True) + 1e-3) - b,
    lambda a, b: F.glu(torch.cat([a, b], -1)),
    lambda a, b: torch.cat([a[:, 2:], b[:, :2]], 1) + 0.3,
    lambda a, b: torch.max(a, b).clamp(-0.8, 0.8),
    lambda a, b: F.relu6(a * 3, inplace=True) + F.hardswish(b),
    lambda a, b: torch.sort(a, dim=1).values * 0.5 + b.flip(1),
    lambda a, b: torch.einsum("bi,bj->bij", a, b).diagonal(dim1=1, dim2=2),
    lambda a, b: torch.bmm(a.view(-1, 2, 2), b.view(-1, 2, 2)).transpose(1, 2).flatten(1),
    lambda a, b: torch.view_as_real(_complex(a) * _complex(b)).flatten(1),
    lambda a, b: F.log_softmax(a, -1) + F.softplus(b),
]


@dataclass(frozen=True)
class _TableMove:
    """One op at one case, its active arguments nudged by values of the network."""

    op: Callable[..., Any]
    case: Case
    args: tuple[Any, ...]

    def __call__(
        self, left: Tensor, right: Tensor, within: bool, differentiable: bool
    ) -> Tensor:
        """``within``: an op that writes does so through a view of a larger tensor."""
        rows = [
            self._row(a, b, within, differentiable) for a, b in zip(left, right, strict=True)
        ]
        y = torch.stack(rows)
        return y / y.detach().abs().amax(1, keepdim=True).clamp_min(1.0)

    def _row(self, left: Tensor, right: Tensor, within: bool, differentiable: bool) -> Tensor:
        sources = cycle((left, right))
        args, kwargs = mapped(
            (self.args, self.case.kwargs),
            lambda t: _nudged(t.detach(), next(sources)) if t.requires_grad else t.clone(),
        )
        rest: list[Tensor] = []
        if DEFAULT_RULES[self.op].inplace:
            args, rest = _to_write(args, within)
        op = self._spelled(differentiable)
        op = op if self.case.lift is None else self.case.lift(op)
        results = [_as_real(result) for result in tensors(op(*args, **kwargs))]
        found = [y for y in results if y.is_floating_point() and y.numel()]
        return torch.cat(
            [y.reshape(-1) for y in found] + [y.view(-1) * right[0] for y in rest] or [left]
        )

    def _spelled(self, differentiable: bool) -> Callable[..., Any]:
        """The op; to be differentiable a write is a copy of what the plain op returns."""
        plain = DEFAULT_RULES[self.op].plain
        if not (differentiable and DEFAULT_RULES[self.op].inplace and plain):
            return self.op

        def write(first: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return first.copy_(plain(first.clone(), *args, **kwargs))

        return write


def _to_write(args: tuple[Any, ...], within: bool) -> tuple[tuple[Any, ...], list[Tensor]]:
    """Arguments whose first may be written to, and what else the write changes."""
    first, *others = args
    if not within or first.is_complex():
        return (first * 1.0, *others), []
    memory = torch.stack([first * 2.0, first * 1.0])
    return (memory[1], *others), [memory, memory.view(-1)]


def _nudged(point: Tensor, source: Tensor) -> Tensor:
    """``point``, moved a little by the values of ``source``."""
    times = -(-point.numel() // source.numel())
    steps = source.repeat(max(times, 1))[: point.numel()].reshape(point.shape)
    return point + 0.05 * torch.tanh(steps)


def _as_real(result: Tensor) -> Tensor:
    return torch.view_as_real(result.resolve_conj()) if result.is_complex() else result


PRECISION = ("cfloat", "chalf")  # what comes after is in a lower precision


def _table() -> list[_TableMove]:
    """Every op at every case; arguments drawn once, the same every time."""
    moves: list[_TableMove] = []
    for pair in PAIRS:
        op, case = pair.values
        if op_name(op) in PRECISION:
            continue
        torch.manual_seed(len(moves))
        moves.append(_TableMove(op, case, case.args()))
    return moves


with torch.random.fork_rng():
    TABLE = _table()


@dataclass(frozen=True)
class Step:
    """One move: which, of which two values so far, and how it treats memory."""

    move: int  # a layer, or a table move beyond them
    left: int
    right: int
    within: bool = False

    def __call__(self, values: list[Tensor], differentiable: bool) -> Tensor:
        left, right = values[self.left % len(values)], values[self.right % len(values)]
        if self.move < len(LAYERS):
            return LAYERS[self.move](_fitted(left, WIDTH), _fitted(right, WIDTH))
        return TABLE[self.move - len(LAYERS)](left, right, self.within, differentiable)

    @property
    def name(self) -> str:
        if self.move < len(LAYERS):
            return LAYERS[self.move].__name__
        return op_name(TABLE[self.move - len(LAYERS)].op)

    def __repr__(self) -> str:
        return f"Step({self.move}, {self.left}, {self.right}, {self.within})  # {self.name}"


def network(steps: list[Step], *, differentiable: bool = False) -> Callable[[Tensor], Tensor]:
    """A function of x (batch, WIDTH) that returns the mean of every value it passes.

    ``differentiable``: for plain autograd, which has no derivative of some ops that write.
    """

    def forward(x: Tensor) -> Tensor:
        values = [x]
        for step in steps:
            values.append(step(values, differentiable))
        return torch.stack([value.mean(1) for value in values] + [values[-1][:, 0]], 1)

    return forward
