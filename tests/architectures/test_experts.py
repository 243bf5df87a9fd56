"""Mixtures of experts: the routing is a selection, held; its weights are gates, held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.definitions import Pair, assert_defined

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, EXPERTS, CHOSEN = 4, 3, 2
GENERATOR = torch.Generator().manual_seed(4)
ROUTER = torch.randn(WIDTH, EXPERTS, generator=GENERATOR).double()
IN = torch.randn(EXPERTS, WIDTH, 5, generator=GENERATOR).double()
OUT = torch.randn(EXPERTS, 5, WIDTH, generator=GENERATOR).double()


def _expert(x: Tensor, number: Any) -> Tensor:
    return F.relu(x @ IN[number]) @ OUT[number]


def _defined(x: Pair, *, normalized: bool = True, after: bool = False) -> Pair:
    """Σ over the chosen experts of weight0 · expert(x), token by token."""

    def mixed(tokens: Tensor) -> Tensor:
        result = torch.zeros_like(tokens)
        for row in range(tokens.shape[0]):
            for place in range(tokens.shape[1]):
                point = x.point[row, place]
                for number, weight in _chosen(point, normalized, after):
                    gate = (point @ IN[number] > 0).double()
                    hidden = gate * (tokens[row, place] @ IN[number])
                    result[row, place] += weight * (hidden @ OUT[number])
        return result

    return x.map(mixed)


def _chosen(point: Tensor, normalized: bool, after: bool) -> list[tuple[int, float]]:
    scores = (point @ ROUTER).tolist()
    best = sorted(range(EXPERTS), key=lambda e: -scores[e])[:CHOSEN]
    exponentials = torch.tensor(scores, dtype=torch.float64).exp()
    total = exponentials[best].sum() if normalized or after else exponentials.sum()
    return [(e, float(exponentials[e] / total)) for e in best]


def _routed(tokens: Tensor, normalized: bool) -> tuple[Tensor, Tensor]:
    """Weights and experts of every token, softmax before the choice."""
    weights, chosen = torch.topk((tokens @ ROUTER).softmax(-1), CHOSEN, dim=-1)
    return (weights / weights.sum(-1, keepdim=True) if normalized else weights), chosen


def by_index_add(x: Tensor, normalized: bool = True) -> Tensor:
    """As Mixtral does: each expert takes its tokens and adds to them."""
    tokens = x.reshape(-1, WIDTH)
    weights, chosen = _routed(tokens, normalized)
    result = torch.zeros_like(tokens)
    mask = F.one_hot(chosen, num_classes=EXPERTS).permute(2, 1, 0)
    for number in range(EXPERTS):
        rank, token = torch.where(mask[number])
        current = tokens[None, token].reshape(-1, WIDTH)
        mixed = _expert(current, number) * weights[token, rank, None]
        result.index_add_(0, token, mixed.to(x.dtype))
    return result.reshape(x.shape)


def by_masks(x: Tensor, normalized: bool = True) -> Tensor:
    """Every expert sees every token; a mask keeps its own."""
    weights, chosen = _routed(x, normalized)
    result = torch.zeros_like(x)
    for number in range(EXPERTS):
        weight = torch.where(chosen == number, weights, 0.0).sum(-1, keepdim=True)
        result = result + _expert(x, number) * weight
    return result


def by_boolean_assignment(x: Tensor, normalized: bool = True) -> Tensor:
    tokens = x.flatten(0, 1)
    weights, chosen = _routed(tokens, normalized)
    result = torch.zeros_like(tokens)
    for number in range(EXPERTS):
        for rank in range(CHOSEN):
            own = chosen[:, rank] == number
            if own.any():
                result[own] += weights[own, rank, None] * _expert(tokens[own], number)
    return result.view_as(x)


def by_gathered_weights(x: Tensor, normalized: bool = True) -> Tensor:
    """The experts' matrices are gathered for each token."""
    weights, chosen = _routed(x, normalized)
    hidden = F.relu(torch.einsum("bld,blkdh->blkh", x, IN[chosen]))
    return torch.einsum("blkh,blkhd,blk->bld", hidden, OUT[chosen], weights)


def by_one_hot(x: Tensor, normalized: bool = True) -> Tensor:
    """Dispatch and combine tensors, as Switch transformers have them, with room for all."""
    tokens = x.flatten(0, 1)
    weights, chosen = _routed(tokens, normalized)
    dispatch = F.one_hot(chosen, EXPERTS).to(x.dtype)  # (tokens, rank, experts)
    combine = (dispatch * weights.unsqueeze(-1)).sum(1)
    seen = torch.einsum("ne,nw->enw", dispatch.sum(1), tokens)
    mixed = torch.bmm(F.relu(torch.bmm(seen, IN)), OUT)
    return torch.einsum("ne,enw->nw", combine, mixed).view_as(x)


def by_sorting(x: Tensor, normalized: bool = True) -> Tensor:
    """Tokens sorted by expert, so that each takes one slice; then scattered back."""
    tokens = x.flatten(0, 1)
    weights, chosen = _routed(tokens, normalized)
    order = chosen.flatten().argsort()
    counts = torch.bincount(chosen.flatten(), minlength=EXPERTS).tolist()
    repeated = tokens[order // CHOSEN].split(counts)
    mixed = torch.cat([_expert(own, number) for number, own in enumerate(repeated)])
    mixed = mixed * weights.flatten()[order].unsqueeze(-1)
    places = (order // CHOSEN).unsqueeze(-1).expand(-1, WIDTH)
    return torch.zeros_like(tokens).scatter_add(0, places, mixed).view_as(x)


SPELLINGS = [
    *(by_index_add, by_masks, by_boolean_assignment, by_gathered_weights, by_one_hot),
    by_sorting,
]


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("forward", SPELLINGS, ids=lambda forward: forward.__name__)
def test_spellings(forward: Callable[..., Tensor], normalized: bool) -> None:
    assert_defined(
        lambda x: forward(x, normalized),
        lambda x: _defined(x, normalized=normalized),
        torch.randn(2, 3, WIDTH).double(),
    )


@pytest.mark.parametrize("how", ["softmax of the chosen", "scattered scores"])
def test_softmax_after_the_choice(how: str) -> None:
    def forward(x: Tensor) -> Tensor:
        scores, chosen = (x @ ROUTER).topk(CHOSEN)
        if how == "softmax of the chosen":
            weights = torch.zeros(*x.shape[:2], EXPERTS).to(x)
            weights = weights.scatter(-1, chosen, scores.softmax(-1))
        else:
            nowhere = torch.full((*x.shape[:2], EXPERTS), -torch.inf).to(x)
            weights = nowhere.scatter_(-1, chosen, scores).softmax(-1)
        experts = torch.stack([_expert(x, number) for number in range(EXPERTS)], -1)
        return (experts * weights.unsqueeze(-2)).sum(-1)

    assert_defined(
        forward, lambda x: _defined(x, after=True), torch.randn(2, 3, WIDTH).double()
    )


def test_sigmoid_routing_with_a_shared_expert_and_a_correction() -> None:
    """As DeepSeek-V3: a bias takes part in the choice, not in the weight."""
    correction = torch.tensor([0.1, -0.2, 0.3]).double()

    def forward(x: Tensor) -> Tensor:
        scores = torch.sigmoid(x @ ROUTER)
        _, chosen = (scores + correction).topk(CHOSEN, sorted=False)
        weights = scores.gather(-1, chosen)
        weights = 2.5 * weights / (weights.sum(-1, keepdim=True) + 1e-20)
        result = _expert(x, 0)
        for rank in range(CHOSEN):
            hidden = F.relu(x.unsqueeze(-2) @ IN[chosen[..., rank]])
            mixed = (hidden @ OUT[chosen[..., rank]]).squeeze(-2)
            result = result + mixed * weights[..., rank, None]
        return result

    def definition(x: Pair) -> Pair:
        scores = 1 / (1 + (-x.point @ ROUTER).exp())
        chosen = (scores + correction).argsort(-1, descending=True)[..., :CHOSEN]
        kept = torch.zeros_like(scores).scatter(-1, chosen, 1.0) * scores
        weights = 2.5 * kept / kept.sum(-1, keepdim=True)
        weights[..., 0] += 1
        gates = [(x.point @ IN[e] > 0).double() for e in range(EXPERTS)]
        return x.map(
            lambda x: sum(
                weights[..., e, None] * ((gates[e] * (x @ IN[e])) @ OUT[e])
                for e in range(EXPERTS)
            )
        )

    assert_defined(forward, definition, torch.randn(2, 3, WIDTH).double())


def test_capacity() -> None:
    """A token beyond an expert's room passes unchanged; who is first is held."""

    def forward(x: Tensor) -> Tensor:
        weight, chosen = (x @ ROUTER).softmax(-1).max(-1)
        taken = F.one_hot(chosen, EXPERTS)
        has_room = (taken.cumsum(1) * taken).sum(-1) <= 1
        experts = torch.stack([_expert(x, number) for number in range(EXPERTS)], -1)
        mixed = (experts * taken.to(x).unsqueeze(-2)).sum(-1) * weight.unsqueeze(-1)
        return torch.where(has_room.unsqueeze(-1), mixed, x)

    def definition(x: Pair) -> Pair:
        def mixed(tokens: Tensor) -> Tensor:
            rows = []
            for row in range(tokens.shape[0]):
                full: set[int] = set()
                for place in range(tokens.shape[1]):
                    point, token = x.point[row, place], tokens[row, place]
                    pattern = (point @ ROUTER).exp() / (point @ ROUTER).exp().sum()
                    best = int((point @ ROUTER).argmax())
                    gate = (point @ IN[best] > 0).double()
                    expert = pattern[best] * ((gate * (token @ IN[best])) @ OUT[best])
                    rows.append(token if best in full else expert)
                    full.add(best)
            return torch.stack(rows).view_as(tokens)

        return x.map(mixed)

    assert_defined(forward, definition, torch.randn(2, 5, WIDTH).double())


def test_soft_routing() -> None:
    """Slots of weighted tokens (Puigcerver et al. 2024): both patterns are held."""

    def forward(x: Tensor) -> Tensor:
        scores = x @ ROUTER
        slots = scores.softmax(1).mT @ x
        mixed = torch.stack([_expert(slots[:, e], e) for e in range(EXPERTS)], 1)
        return scores.softmax(-1) @ mixed

    def definition(x: Pair) -> Pair:
        exponentials = (x.point @ ROUTER).exp()
        dispatch = exponentials / exponentials.sum(1, keepdim=True)
        combine = exponentials / exponentials.sum(2, keepdim=True)
        slots = x.map(lambda x: torch.einsum("ble,bld->bed", dispatch, x))
        gates = torch.einsum("bed,edh->beh", slots.point, IN) > 0
        mixed = slots.map(
            lambda s: torch.einsum(
                "beh,ehd->bed", gates * torch.einsum("bed,edh->beh", s, IN), OUT
            )
        )
        return mixed.map(lambda m: combine @ m)

    assert_defined(forward, definition, torch.randn(2, 3, WIDTH).double())
