"""State spaces, linear attention and relatives: decays and gates held, the state flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.definitions import Pair, assert_defined

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTH, WIDTH, STATE = 4, 3, 2
GENERATOR = torch.Generator().manual_seed(6)
READ, WRITE = torch.randn(2, WIDTH, STATE, generator=GENERATOR).double()
STEP = torch.randn(WIDTH, WIDTH, generator=GENERATOR).double()
DECAY = -torch.rand(WIDTH, STATE, generator=GENERATOR).double()
QUERY, KEY, VALUE = torch.randn(3, WIDTH, WIDTH, generator=GENERATOR).double()
KERNEL = torch.randn(WIDTH, 1, 2, generator=GENERATOR).double()
SKIP = torch.randn(WIDTH, generator=GENERATOR).double()


def _tokens() -> Tensor:
    return torch.randn(2, LENGTH, WIDTH).double()


def _sigmoid(z: Tensor) -> Tensor:
    return 1 / (1 + (-z).exp())


# Selective state space (Gu & Dao 2023): h' = exp(Δ A) h + (Δ x) B, y = h C + D x.


def scan(x: Tensor) -> Tensor:
    delta = F.softplus(x @ STEP)
    decay = torch.exp(delta.unsqueeze(-1) * DECAY)
    entering = delta.unsqueeze(-1) * (x @ WRITE).unsqueeze(2) * x.unsqueeze(-1)
    state, outputs = torch.zeros(len(x), WIDTH, STATE, dtype=x.dtype), []
    for place in range(LENGTH):
        state = decay[:, place] * state + entering[:, place]
        outputs.append((state * (x @ READ)[:, place, None]).sum(-1))
    return torch.stack(outputs, 1) + SKIP * x


def scan_by_einsum(x: Tensor) -> Tensor:
    delta = F.softplus(x @ STEP)
    decay = torch.exp(torch.einsum("bld,dn->bldn", delta, DECAY))
    entering = torch.einsum("bld,bln->bldn", delta, x @ WRITE) * x[..., None]
    state = x.new_zeros(len(x), WIDTH, STATE)
    outputs = torch.empty_like(x)
    for place in range(LENGTH):
        state = torch.addcmul(entering[:, place], decay[:, place], state)
        outputs[:, place] = torch.einsum("bdn,bn->bd", state, (x @ READ)[:, place])
    return torch.addcmul(outputs, SKIP.expand_as(x), x)


def scan_in_place(x: Tensor) -> Tensor:
    delta = F.softplus(x @ STEP)
    state = torch.zeros(len(x), WIDTH, STATE, dtype=x.dtype)
    rows = []
    for place in range(LENGTH):
        state = state.clone()
        state *= (delta[:, place, :, None] * DECAY).exp()
        state += delta[:, place, :, None] * (x @ WRITE)[:, place, None] * x[:, place, :, None]
        rows.append((state @ (x @ READ)[:, place, :, None]).squeeze(-1))
    return torch.stack(rows, 1) + x * SKIP


def _scanned(x: Pair, *, is_activated: bool = False) -> Pair:
    """Δ and exp(Δ A) held; B x is a product of two equals, and so is h C.

    An x that is an activation's output has a rank of 1 and is held in B x.
    """
    delta = (1 + (x.point @ STEP).exp()).log()
    write, read = x.map(lambda x: x @ WRITE), x.map(lambda x: x @ READ)

    def outer(w: Tensor, x: Tensor) -> Tensor:
        return delta[..., None] * torch.einsum("bln,bld->bldn", w, x)

    entering = write.map(lambda w: outer(w, x.point)) if is_activated else write.split(x, outer)
    state = Pair(torch.zeros(2, WIDTH, STATE), torch.zeros(2, WIDTH, STATE))
    outputs = []
    for place in range(LENGTH):
        decay = (delta[:, place, :, None] * DECAY).exp()
        state = state.map(lambda h, decay=decay: decay * h) + entering.map(
            lambda e, place=place: e[:, place]
        )
        now = read.map(lambda r, place=place: r[:, place])
        outputs.append(state.split(now, lambda h, r: torch.einsum("bdn,bn->bd", h, r)))
    stacked = Pair(
        torch.stack([o.free for o in outputs], 1), torch.stack([o.point for o in outputs], 1)
    )
    return stacked + x.map(lambda x: x * SKIP)


@pytest.mark.parametrize(
    "forward", [scan, scan_by_einsum, scan_in_place], ids=lambda f: f.__name__
)
def test_selective_scan(forward: Callable[[Tensor], Tensor]) -> None:
    assert_defined(forward, _scanned, _tokens())


def test_mixer_block() -> None:
    """Causal convolution, SiLU, scan, and a SiLU gate, as Mamba has them."""

    def convolved(x: Tensor) -> Tensor:
        padded = F.conv1d(x.transpose(1, 2), KERNEL, padding=1, groups=WIDTH)
        return padded[..., :LENGTH].transpose(1, 2)

    def forward(x: Tensor) -> Tensor:
        inner, gate = (x @ torch.cat([QUERY, KEY], 1)).chunk(2, -1)
        return scan(F.silu(convolved(inner))) * F.silu(gate) @ VALUE

    def definition(x: Pair) -> Pair:
        gate = x.point @ KEY * _sigmoid(x.point @ KEY)
        shifted = x.map(
            lambda x: (
                torch.cat([torch.zeros(2, 1, WIDTH), x[:, :-1] @ QUERY], 1) * KERNEL[:, 0, 0]
                + x @ QUERY * KERNEL[:, 0, 1]
            )
        )
        hidden = shifted.chord(lambda z: z * _sigmoid(z))
        return _scanned(hidden, is_activated=True).map(lambda y: y * gate @ VALUE)

    assert_defined(forward, definition, _tokens())


# Linear attention (Katharopoulos et al. 2020): φ(q) Σ φ(k) v / φ(q) Σ φ(k), φ = elu + 1.


def _feature(z: Tensor) -> Tensor:
    return torch.where(z > 0, z + 1, z.exp())


def by_sums_so_far(x: Tensor) -> Tensor:
    q, k, v = F.elu(x @ QUERY) + 1, F.elu(x @ KEY) + 1, x @ VALUE
    state = torch.einsum("bld,ble->blde", k, v).cumsum(1)
    total = torch.einsum("bld,bld->bl", q, k.cumsum(1))
    return torch.einsum("bld,blde->ble", q, state) / total.unsqueeze(-1)


def by_recurrence(x: Tensor) -> Tensor:
    q, k, v = F.elu(x @ QUERY) + 1, F.elu(x @ KEY) + 1, x @ VALUE
    state, total = x.new_zeros(len(x), WIDTH, WIDTH), x.new_zeros(len(x), WIDTH)
    rows = []
    for place in range(LENGTH):
        state = state + k[:, place, :, None] * v[:, place, None]
        total = total + k[:, place]
        mixed = (q[:, place, None] @ state).squeeze(1)
        rows.append(mixed / (q[:, place] * total).sum(-1, keepdim=True))
    return torch.stack(rows, 1)


def by_masked_products(x: Tensor) -> Tensor:
    q, k, v = F.elu(x @ QUERY) + 1, F.elu(x @ KEY) + 1, x @ VALUE
    scores = (q @ k.mT).tril()
    return scores @ v / scores.sum(-1, keepdim=True)


@pytest.mark.parametrize("forward", [by_sums_so_far, by_recurrence], ids=lambda f: f.__name__)
def test_linear_attention(forward: Callable[[Tensor], Tensor]) -> None:
    """Queries and keys are activations, rank 1: held, together with their sum; v flows."""

    def definition(x: Pair) -> Pair:
        q, k = _feature(x.point @ QUERY), _feature(x.point @ KEY)
        scores = torch.einsum("bid,bjd->bij", q, k).tril()
        pattern = scores / scores.sum(-1, keepdim=True)
        return x.map(lambda x: pattern @ (x @ VALUE))

    assert_defined(forward, definition, _tokens())


def test_linear_attention_by_a_pattern() -> None:
    """Spelled as q kᵀ first, the scores are a new feature: they share evenly with v."""

    def definition(x: Pair) -> Pair:
        q, k = x.map(lambda x: x @ QUERY), x.map(lambda x: x @ KEY)
        return _shared_scores(q, k, x.map(lambda x: x @ VALUE))

    assert_defined(by_masked_products, definition, _tokens())


def _shared_scores(q: Pair, k: Pair, v: Pair) -> Pair:
    q, k = _lifted(q), _lifted(k)
    scores = q.split(k, lambda q, k: torch.einsum("bid,bjd->bij", q, k).tril())
    total = scores.point.sum(-1, keepdim=True)
    return scores.split(v, lambda s, v: s @ v).map(lambda y: y / total)


def _lifted(z: Pair) -> Pair:
    """elu + 1, elu at its chord."""
    return z.chord(lambda z: _feature(z) - 1).map(lambda z: z + 1)


# Decayed and gated states.


def test_retention() -> None:
    """A fixed decay instead of a softmax (Sun et al. 2023): products of equals share evenly."""
    places = torch.arange(LENGTH).double()
    decay = (0.9 ** (places[:, None] - places)).tril()

    def forward(x: Tensor) -> Tensor:
        scores = (x @ QUERY) @ (x @ KEY).mT * decay
        return scores @ (x @ VALUE)

    def definition(x: Pair) -> Pair:
        q, k = x.map(lambda x: x @ QUERY), x.map(lambda x: x @ KEY)
        scores = q.split(k, lambda q, k: torch.einsum("bid,bjd->bij", q, k) * decay)
        return scores.split(x.map(lambda x: x @ VALUE), lambda s, v: s @ v)

    assert_defined(forward, definition, _tokens())


def test_receptance_weighted_values() -> None:
    """RWKV's time mixing (Peng et al. 2023): exp(k) and sigmoid(r) are held, v flows."""
    decay, bonus = torch.rand(2, WIDTH, generator=GENERATOR).double()

    def forward(x: Tensor) -> Tensor:
        shifted = F.pad(x, (0, 0, 1, -1))
        mixed = 0.4 * x + 0.6 * shifted
        r, k, v = torch.sigmoid(mixed @ QUERY), mixed @ KEY, x @ VALUE
        top, bottom, rows = torch.zeros(len(x), WIDTH).to(x), torch.zeros(WIDTH).to(x), []
        for place in range(LENGTH):
            now = torch.exp(bonus + k[:, place])
            rows.append(r[:, place] * (top + now * v[:, place]) / (bottom + now))
            top = torch.exp(-decay) * top + k[:, place].exp() * v[:, place]
            bottom = torch.exp(-decay) * bottom + k[:, place].exp()
        return torch.stack(rows, 1)

    def definition(x: Pair) -> Pair:
        before = torch.cat([torch.zeros(2, 1, WIDTH), x.point[:, :-1]], 1)
        mixed = 0.4 * x.point + 0.6 * before
        r, k = _sigmoid(mixed @ QUERY), mixed @ KEY

        def mix(x: Tensor) -> Tensor:
            rows = []
            for place in range(LENGTH):
                ages = [(place - 1 - j) for j in range(place)]
                logs = [k[:, j] - decay * age for j, age in enumerate(ages)]
                weights = torch.stack([*logs, bonus + k[:, place]], 1).exp()
                values = (weights * (x[:, : place + 1] @ VALUE)).sum(1)
                rows.append(r[:, place] * values / weights.sum(1))
            return torch.stack(rows, 1)

        return x.map(mix)

    assert_defined(forward, definition, _tokens())


def test_gated_delta_rule() -> None:
    """S' = α S (I − β k kᵀ) + β v kᵀ, y = S q (Yang et al. 2025); α, β held, k̂ of rank 0."""
    alpha, beta = torch.randn(2, WIDTH, generator=GENERATOR).double()

    def forward(x: Tensor) -> Tensor:
        q, k, v = x @ QUERY, F.normalize(x @ KEY, dim=-1), x @ VALUE
        a, b = torch.sigmoid(x @ alpha), torch.sigmoid(x @ beta)
        state, rows = torch.zeros(len(x), WIDTH, WIDTH).to(x), []
        for place in range(LENGTH):
            state = state * a[:, place, None, None]
            known = (state * k[:, place, None]).sum(-1)
            change = (v[:, place] - known) * b[:, place, None]
            state = state + change.unsqueeze(-1) * k[:, place, None]
            rows.append((state * q[:, place, None]).sum(-1))
        return torch.stack(rows, 1)

    def definition(x: Pair) -> Pair:
        q, k, v = (
            x.map(lambda x: x @ QUERY),
            x.map(lambda x: x @ KEY),
            x.map(lambda x: x @ VALUE),
        )
        length = k.point.pow(2).sum(-1, keepdim=True).sqrt()
        k = k.map(lambda k: k / length)
        a, b = _sigmoid(x.point @ alpha), _sigmoid(x.point @ beta)
        state = Pair(
            torch.zeros(2, WIDTH, WIDTH).double(), torch.zeros(2, WIDTH, WIDTH).double()
        )
        rows = []
        for place in range(LENGTH):
            q_, k_, v_ = (z.map(lambda z, p=place: z[:, p]) for z in (q, k, v))
            state = state.map(lambda s, p=place: s * a[:, p, None, None])
            known = state.split(k_, lambda s, k: torch.einsum("bij,bj->bi", s, k))
            change = Pair(v_.free - known.free, v_.point - known.point)
            change = change.map(lambda c, p=place: c * b[:, p, None])
            state = state + change.split(k_, lambda c, k: torch.einsum("bi,bj->bij", c, k))
            rows.append(state.split(q_, lambda s, q: torch.einsum("bij,bj->bi", s, q)))
        return Pair(
            torch.stack([r.free for r in rows], 1), torch.stack([r.point for r in rows], 1)
        )

    assert_defined(forward, definition, _tokens())


def test_gated_linear_recurrence() -> None:
    """h' = a h + √(1 − a²) i x (De et al. 2024), its log-space decay written out."""

    def forward(x: Tensor) -> Tensor:
        decay = torch.exp(-8 * F.softplus(SKIP) * torch.sigmoid(x @ QUERY))
        entering = torch.sqrt(1 - decay**2) * (torch.sigmoid(x @ KEY) * x)
        h, rows = torch.zeros(len(x), WIDTH).to(x), []
        for place in range(LENGTH):
            h = decay[:, place] * h + entering[:, place]
            rows.append(h)
        return torch.stack(rows, 1)

    def definition(x: Pair) -> Pair:
        decay = (-8 * (1 + SKIP.exp()).log() * _sigmoid(x.point @ QUERY)).exp()
        scale = (1 - decay**2).sqrt() * _sigmoid(x.point @ KEY)

        def run(x: Tensor) -> Tensor:
            h, rows = torch.zeros(2, WIDTH).double(), []
            for place in range(LENGTH):
                h = decay[:, place] * h + scale[:, place] * x[:, place]
                rows.append(h)
            return torch.stack(rows, 1)

        return x.map(run)

    assert_defined(forward, definition, _tokens())
