"""Attention as people write it: every spelling holds the pattern and lets the values flow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.definitions import Pair, assert_defined, joined

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTH, WIDTH = 3, 4
WEIGHTS = [
    w.double() for w in torch.randn(3, WIDTH, WIDTH, generator=torch.Generator().manual_seed(2))
]
CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
SCALE = WIDTH**-0.5


def _tokens(length: int = LENGTH) -> Tensor:
    return torch.randn(2, length, WIDTH).double()


def _projected(x: Tensor) -> list[Tensor]:
    return [x @ w for w in WEIGHTS]


def _defined(
    x: Pair,
    allowed: Tensor | None = None,
    shape: Callable[[Tensor], Tensor] = lambda scores: scores,
    turn: Callable[[Tensor], Tensor] = lambda heads: heads,
) -> Pair:
    """A0 · V; ``shape`` is done to the scores, ``turn`` to queries and keys."""
    q, k, _ = _projected(x.point)
    scores = shape(torch.einsum("bid,bjd->bij", turn(q), turn(k)) * SCALE)
    exponentials = scores.exp() if allowed is None else scores.exp() * allowed
    pattern = exponentials / exponentials.sum(-1, keepdim=True)
    return x.map(lambda x: torch.einsum("bij,bjd->bid", pattern, x @ WEIGHTS[2]))


def by_matmul(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    return torch.matmul(torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(WIDTH), -1), v)


def by_bmm(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    return torch.bmm(F.softmax(torch.bmm(q * SCALE, k.mT), dim=-1), v)


def by_baddbmm(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    nothing = torch.empty(len(x), LENGTH, LENGTH, dtype=x.dtype)
    scores = torch.baddbmm(nothing, q, k.transpose(1, 2), beta=0, alpha=SCALE)
    return torch.bmm(scores.softmax(-1), v)


def by_einsum(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    return torch.einsum(
        "bij,bjd->bid", (torch.einsum("bid,bjd->bij", q, k) * SCALE).softmax(-1), v
    )


def by_einsum_of_a_list(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    pattern = torch.einsum("... i d, ... j d -> ... i j", [q, k]).mul(SCALE).softmax(-1)
    return torch.einsum("...ij,...jk", [pattern, v])


def by_einsum_of_sublists(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    scores = torch.einsum(q, [0, 1, 2], k, [0, 3, 2], [0, 1, 3]) * SCALE
    return torch.einsum(scores.softmax(-1), [0, 1, 3], v, [0, 3, 2], [0, 1, 2])


def by_einsum_of_ellipsis_sublists(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    scores = torch.einsum(q, [..., 1, 2], k, [..., 3, 2], [..., 1, 3]) * SCALE
    return torch.einsum(scores.softmax(-1), [..., 1, 3], v, [..., 3, 2], [..., 1, 2])


def by_broadcast_sums(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    pattern = ((q.unsqueeze(2) * k.unsqueeze(1)).sum(-1) * SCALE).softmax(-1)
    return (pattern.unsqueeze(-1) * v.unsqueeze(1)).sum(2)


def by_exp_and_sum(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    scores = q @ k.mT * SCALE
    exponentials = torch.exp(scores - scores.amax(-1, keepdim=True))
    return exponentials / exponentials.sum(-1, keepdim=True) @ v


def by_late_division(x: Tensor) -> Tensor:
    """The sum of the exponentials divides what they mix, as flash attention does."""
    q, k, v = _projected(x)
    exponentials = (q @ k.mT * SCALE).exp()
    return exponentials @ v / exponentials.sum(-1, keepdim=True)


def by_log_softmax(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    return F.log_softmax(q @ k.mT * SCALE, -1).exp() @ v


def in_a_dtype(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    return F.softmax(q @ k.mT * SCALE, dim=-1, dtype=torch.float64).to(v.dtype) @ v


def by_heads_and_swaps(x: Tensor) -> Tensor:
    """One head, with the reshapes of many."""
    q, k, v = (y.view(len(x), -1, 1, WIDTH).transpose(1, 2) for y in _projected(x))
    mixed = (q @ k.transpose(-1, -2) * SCALE).softmax(dim=-1).matmul(v)
    return mixed.transpose(1, 2).contiguous().view(len(x), -1, WIDTH)


def row_by_row(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    rows = []
    for query in q.unbind(1):
        pattern = torch.softmax((k * query.unsqueeze(1)).sum(-1) * SCALE, 1)
        rows.append((pattern.unsqueeze(1) @ v).squeeze(1))
    return torch.stack(rows, 1)


def with_a_written_pattern(x: Tensor) -> Tensor:
    q, k, v = _projected(x)
    pattern = torch.zeros(len(x), LENGTH, LENGTH, dtype=x.dtype)
    pattern[:, :, :] = (q @ k.mT * SCALE).softmax(-1)
    return pattern @ v


PLAIN = [
    *(by_matmul, by_bmm, by_baddbmm, by_einsum, by_einsum_of_a_list, by_einsum_of_sublists),
    *(by_einsum_of_ellipsis_sublists, by_broadcast_sums, by_exp_and_sum, by_late_division),
    *(in_a_dtype, by_heads_and_swaps, row_by_row, with_a_written_pattern, by_log_softmax),
]


@pytest.mark.parametrize("forward", PLAIN, ids=lambda forward: forward.__name__)
def test_spellings(forward: Callable[[Tensor], Tensor]) -> None:
    assert_defined(forward, _defined, _tokens())


def _masked(mask: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        return mask(q @ k.mT * SCALE).softmax(-1) @ v

    return forward


LOWEST = torch.finfo(torch.float64).min
MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "masked_fill": lambda s: s.masked_fill(~CAUSAL, -math.inf),
    "masked_fill lowest": lambda s: s.masked_fill(~CAUSAL, LOWEST),
    "masked_fill_": lambda s: s.masked_fill_(CAUSAL == 0, float("-inf")),
    "where": lambda s: torch.where(CAUSAL, s, -math.inf),
    "where lowest": lambda s: torch.where(CAUSAL, s, torch.full((), LOWEST, dtype=s.dtype)),
    "added": lambda s: s + torch.full((LENGTH, LENGTH), -math.inf).double().triu(1),
    "added lowest": lambda s: s + (1.0 - CAUSAL.double()) * -1e9,
    "times": lambda s: s * CAUSAL - 1e10 * (1 - CAUSAL.double()),
    "assigned": lambda s: _assigned(s),
    "masked_scatter": lambda s: s.masked_scatter(~CAUSAL, torch.full((18,), -1e30).double()),
}


def _assigned(scores: Tensor) -> Tensor:
    scores[:, ~CAUSAL] = -math.inf
    return scores


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str) -> None:
    forward = _masked(MASKS[name])
    assert_defined(forward, lambda x: _defined(x, CAUSAL.double()), _tokens())


def test_exponentials_masked_after_the_fact() -> None:
    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        exponentials = (q @ k.mT * SCALE).exp() * CAUSAL
        return exponentials / exponentials.sum(-1, keepdim=True) @ v

    assert_defined(forward, lambda x: _defined(x, CAUSAL.double()), _tokens())


def test_relative_position_bias() -> None:
    table = torch.randn(2 * LENGTH - 1).double()
    places = torch.arange(LENGTH)
    index = places[:, None] - places + LENGTH - 1

    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        bias = F.embedding(index, table[:, None]).squeeze(-1)
        return (q @ k.mT * SCALE + bias).softmax(-1) @ v

    assert_defined(forward, lambda x: _defined(x, shape=lambda s: s + table[index]), _tokens())


def test_query_dependent_relative_positions() -> None:
    """Scores against learned vectors of the distance (Shaw et al. 2018)."""
    table = torch.randn(2 * LENGTH - 1, WIDTH).double()
    places = torch.arange(LENGTH)
    index = places[:, None] - places + LENGTH - 1

    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        relative = torch.einsum("bid,ijd->bij", q, table[index])
        return ((q @ k.mT + relative) * SCALE).softmax(-1) @ v

    def definition(x: Pair) -> Pair:
        q = x.point @ WEIGHTS[0]
        added = (q[:, :, None] * table[index]).sum(-1) * SCALE
        return _defined(x, shape=lambda s: s + added)

    assert_defined(forward, definition, _tokens())


def test_linear_biases() -> None:
    """ALiBi (Press et al. 2022): a slope times the distance, before the causal mask."""
    places = torch.arange(LENGTH).double()
    distance = -0.5 * (places[:, None] - places)

    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        scores = torch.baddbmm(distance.expand(len(x), -1, -1), q, k.mT, alpha=SCALE)
        return scores.masked_fill(~CAUSAL, -math.inf).softmax(-1) @ v

    def definition(x: Pair) -> Pair:
        return _defined(x, CAUSAL.double(), shape=lambda s: s + distance)

    assert_defined(forward, definition, _tokens())


def test_softcapped_scores() -> None:
    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        return (torch.tanh(q @ k.mT * SCALE / 5.0) * 5.0).softmax(-1) @ v

    definition = lambda x: _defined(x, shape=lambda s: 5 * torch.tanh(s / 5))  # noqa: E731
    assert_defined(forward, definition, _tokens())


def test_softcapped_logits() -> None:
    """At the output there is nothing to gate: tanh is a chord."""

    def forward(x: Tensor) -> Tensor:
        logits = by_matmul(x)
        logits = logits / 3.0
        return torch.tanh(logits) * 3.0

    def definition(x: Pair) -> Pair:
        return _defined(x).map(lambda y: y / 3).chord(torch.tanh).map(lambda y: y * 3)

    assert_defined(forward, definition, _tokens())


ANGLES = torch.arange(LENGTH).double()[:, None] * torch.tensor([1.0, 0.1]).double()


def rotate_half(x: Tensor) -> Tensor:
    """The first half of the features pairs with the second."""
    angles = torch.cat([ANGLES, ANGLES], -1)
    first, second = x.chunk(2, -1)
    return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()


def rotate_slices(x: Tensor) -> Tensor:
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    cos, sin = ANGLES.cos(), ANGLES.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _rotated_halves(x: Tensor) -> Tensor:
    rotated = torch.empty_like(x)
    for place in range(LENGTH):
        for pair in range(2):
            c, s = math.cos(ANGLES[place, pair]), math.sin(ANGLES[place, pair])
            a, b = x[:, place, pair], x[:, place, pair + 2]
            rotated[:, place, pair], rotated[:, place, pair + 2] = a * c - b * s, b * c + a * s
    return rotated


def rotate_complex(x: Tensor) -> Tensor:
    """Neighbouring features pair as complex numbers."""
    turns = torch.polar(torch.ones_like(ANGLES), ANGLES)
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)


def rotate_stacked(x: Tensor) -> Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    cos, sin = ANGLES.cos(), ANGLES.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def rotate_in_place(x: Tensor) -> Tensor:
    cos, sin = (t.repeat_interleave(2, -1) for t in (ANGLES.cos(), ANGLES.sin()))
    turned = torch.empty_like(x)
    turned[..., ::2], turned[..., 1::2] = -x[..., 1::2], x[..., ::2]
    return x * cos + turned * sin


def rotate_by_complex_parts(x: Tensor) -> Tensor:
    numbers = torch.complex(x[..., ::2], x[..., 1::2]) * torch.exp(1j * ANGLES)
    return torch.stack([numbers.real, numbers.imag], -1).reshape(x.shape)


def _rotated_neighbours(x: Tensor) -> Tensor:
    order = [0, 2, 1, 3]
    return _rotated_halves(x[..., order])[..., order]


ROTATIONS = [
    (rotate_half, _rotated_halves),
    (rotate_slices, _rotated_halves),
    (rotate_complex, _rotated_neighbours),
    (rotate_stacked, _rotated_neighbours),
    (rotate_in_place, _rotated_neighbours),
    (rotate_by_complex_parts, _rotated_neighbours),
]


@pytest.mark.parametrize(("rotate", "defined"), ROTATIONS, ids=lambda f: f.__name__)
def test_rotary_positions(
    rotate: Callable[[Tensor], Tensor], defined: Callable[[Tensor], Tensor]
) -> None:
    """Queries, keys and here the values too are turned by their position (Su et al. 2021)."""

    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        return (rotate(q) @ rotate(k).mT * SCALE).softmax(-1) @ v + rotate(v)

    def definition(x: Pair) -> Pair:
        return _defined(x, turn=defined) + x.map(lambda x: defined(x @ WEIGHTS[2]))

    assert_defined(forward, definition, _tokens())


def test_learned_and_sinusoidal_positions() -> None:
    learned = torch.nn.Embedding(8, WIDTH).double()
    waves = torch.cat([ANGLES.sin(), ANGLES.cos()], -1)

    def forward(x: Tensor) -> Tensor:
        return by_matmul(x + learned(torch.arange(x.shape[1])) + waves)

    def definition(x: Pair) -> Pair:
        return _defined(x.map(lambda x: x + learned.weight[:LENGTH] + waves))

    assert_defined(forward, definition, _tokens())


def test_normalized_queries_and_keys() -> None:
    """QK-norm is part of the pattern."""

    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        q, k = F.normalize(q, dim=-1), F.rms_norm(k, (WIDTH,), eps=1e-6)
        return (q @ k.mT * SCALE).softmax(-1) @ v

    def definition(x: Pair) -> Pair:
        q, k, _ = _projected(x.point)
        q = q / q.pow(2).sum(-1, keepdim=True).sqrt()
        k = k / (k.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        scores = torch.einsum("bid,bjd->bij", q, k) * SCALE
        pattern = scores.exp() / scores.exp().sum(-1, keepdim=True)
        return x.map(lambda x: pattern @ (x @ WEIGHTS[2]))

    assert_defined(forward, definition, _tokens())


def test_cache_of_keys_and_values() -> None:
    """Past keys and values, here explained too, are joined to the new ones."""

    def forward(x: Tensor, past_key: Tensor, past_value: Tensor) -> Tensor:
        q, k, v = _projected(x)
        k, v = torch.cat([past_key, k], 1), torch.cat([past_value, v], 1)
        return F.scaled_dot_product_attention(q, k, v)

    def definition(x: Pair, past_key: Pair, past_value: Pair) -> Pair:
        q, k, _ = _projected(x.point)
        scores = q @ torch.cat([past_key.point, k], 1).mT * SCALE
        pattern = scores.exp() / scores.exp().sum(-1, keepdim=True)
        value = joined(lambda p, x: torch.cat([p, x @ WEIGHTS[2]], 1), past_value, x)
        return value.map(lambda v: pattern @ v)

    assert_defined(forward, definition, _tokens(1), _tokens(), _tokens())


def test_cache_that_is_written_to() -> None:
    """A buffer of constants takes the new key and value at their place."""
    past = torch.randn(2, 2, 5, WIDTH).double()

    def forward(x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        q, k, v = _projected(x)
        keys, values = keys.clone(), values.clone()
        keys[:, 3:4] = k
        values.index_copy_(1, torch.tensor([3]), v)
        return (q @ keys[:, :4].mT * SCALE).softmax(-1) @ values[:, :4]

    def definition(x: Pair, keys: Tensor, values: Tensor) -> Pair:
        q, k, _ = _projected(x.point)
        scores = q @ torch.cat([keys[:, :3], k], 1).mT * SCALE
        pattern = scores.exp() / scores.exp().sum(-1, keepdim=True)
        return x.map(lambda x: pattern @ torch.cat([values[:, :3], x @ WEIGHTS[2]], 1))

    assert_defined(forward, definition, _tokens(1), constants=tuple(past))


def test_cross_attention() -> None:
    """Queries from one side, values from the other: only the other side has a slope."""

    def forward(x: Tensor, memory: Tensor) -> Tensor:
        q, k, v = x @ WEIGHTS[0], memory @ WEIGHTS[1], memory @ WEIGHTS[2]
        return (q @ k.mT * SCALE).softmax(-1) @ v

    def definition(x: Pair, memory: Pair) -> Pair:
        scores = x.point @ WEIGHTS[0] @ (memory.point @ WEIGHTS[1]).mT * SCALE
        pattern = scores.exp() / scores.exp().sum(-1, keepdim=True)
        return memory.map(lambda m: pattern @ (m @ WEIGHTS[2]))

    assert_defined(forward, definition, _tokens(2), _tokens(5))


def test_sigmoid_attention() -> None:
    """A pattern of sigmoids (Ramapuram et al. 2024) is held as one of softmax is."""

    def forward(x: Tensor) -> Tensor:
        q, k, v = _projected(x)
        return torch.sigmoid(q @ k.mT * SCALE - math.log(LENGTH)) @ v

    def definition(x: Pair) -> Pair:
        q, k, _ = _projected(x.point)
        pattern = 1 / (1 + LENGTH * (-q @ k.mT * SCALE).exp())
        return x.map(lambda x: pattern @ (x @ WEIGHTS[2]))

    assert_defined(forward, definition, _tokens())
