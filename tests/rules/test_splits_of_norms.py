"""Norms with their statistics held, and split, against Jacobians taken apart by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    ATTNLRP_RULES,
    SPLIT_RULES,
    RuleTable,
    TrainingModeWarning,
    check_affine_map,
    check_rule,
    linearize,
)
from tests.rules.cases import active
from tests.rules.halves import ROUNDING, TABLES, jacobians


def test_a_norm_written_out_is_the_norm_under_attnlrp() -> None:
    x, weight = torch.randn(2, 5).double(), torch.randn(5).double()

    def written(x: Tensor) -> Tensor:
        return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))

    def fused(x: Tensor) -> Tensor:
        return F.rms_norm(x, (5,), weight, 1e-6)

    maps = [linearize(f, x, rules=ATTNLRP_RULES, strict=True) for f in (written, fused)]
    torch.testing.assert_close(maps[0].weight(), maps[1].weight(), **ROUNDING)
    for affine_map in maps:
        torch.testing.assert_close(affine_map.bias(), torch.zeros(2, 5).double(), **ROUNDING)


Statistic = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


EPS = 0.1


def _centred(*dims: int) -> Callable[[Tensor], Tensor]:
    return lambda z: z - z.mean(dims, keepdim=True)


def _over_deviation(*dims: int) -> Callable[[Tensor], Tensor]:
    return lambda z: 1 / (z.var(dims, correction=0, keepdim=True) + EPS).sqrt()


def _grouped(z: Tensor) -> Tensor:
    return z.reshape(2, 2, -1)


def _response(z: Tensor) -> Tensor:
    """Krizhevsky et al. 2012 with three channels at a time, by a loop over channels."""
    squares = z.square()
    sums = [squares[:, max(0, c - 1) : c + 2].sum(1) for c in range(z.shape[1])]
    return (1 + 0.3 * torch.stack(sums, 1) / 3) ** -0.75


# op: the signal that is scaled and the statistic that scales it, both functions of z.
NORMS: dict[str, tuple[Callable[[Tensor], Tensor], Statistic]] = {
    "layer_norm": (
        lambda z: F.layer_norm(z, (3, 2), eps=EPS),
        (_centred(2, 3), _over_deviation(2, 3)),
    ),
    "torch.layer_norm": (
        lambda z: torch.layer_norm(z, (2,), eps=EPS),
        (_centred(3), _over_deviation(3)),
    ),
    "rms_norm": (
        lambda z: F.rms_norm(z, (2,), eps=EPS),
        (lambda z: z, lambda z: 1 / ((z * z).mean(3, keepdim=True) + EPS).sqrt()),
    ),
    "group_norm": (
        lambda z: F.group_norm(z, 2, eps=EPS),
        (
            lambda z: _centred(2)(_grouped(z)).reshape(z.shape),
            lambda z: _over_deviation(2)(_grouped(z)).expand(2, 2, 12).reshape(z.shape),
        ),
    ),
    "torch.group_norm": (
        lambda z: torch.group_norm(z, 1, eps=EPS),
        (_centred(1, 2, 3), _over_deviation(1, 2, 3)),
    ),
    "instance_norm": (
        lambda z: F.instance_norm(z, eps=EPS),
        (_centred(2, 3), _over_deviation(2, 3)),
    ),
    "torch.instance_norm": (
        lambda z: torch.instance_norm(z, None, None, None, None, True, 0.1, EPS, False),
        (_centred(2, 3), _over_deviation(2, 3)),
    ),
    "normalize": (
        lambda z: F.normalize(z, dim=1),
        (lambda z: z, lambda z: 1 / (z * z).sum(1, keepdim=True).sqrt()),
    ),
    "local_response_norm": (
        lambda z: F.local_response_norm(z, 3, alpha=0.3),
        (lambda z: z, _response),
    ),
    "renorm": (
        lambda z: torch.renorm(z, 2, 0, 0.5),
        (lambda z: z, lambda z: 0.5 / (z.square().sum((1, 2, 3), keepdim=True).sqrt() + 1e-7)),
    ),
}


BATCH_NORMS: dict[str, tuple[Callable[[Tensor], Tensor], Statistic]] = {
    "batch_norm": (
        lambda z: F.batch_norm(z, None, None, training=True, eps=EPS),
        (_centred(0, 2, 3), _over_deviation(0, 2, 3)),
    ),
    "torch.batch_norm": (
        lambda z: torch.batch_norm(z, None, None, None, None, True, 0.1, EPS, False),
        (_centred(0, 2, 3), _over_deviation(0, 2, 3)),
    ),
}


def _by_definition(statistic: Statistic, share: float) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """z, and (D, c) with D = (1 − share) · s0 ∂signal + share · signal0 ∂s."""
    signal, scale = statistic
    z = active(2, 4, 3, 2)

    def product(first: Tensor, second: Tensor) -> Tensor:
        return signal(first) * scale(second)

    value, (through_signal, through_scale) = jacobians(
        product, (z, z.detach().clone().requires_grad_())
    )
    kept = 1.0 if share == 0 else 1 - share
    slope = kept * through_signal + share * through_scale
    return z, (slope, value - slope @ z.detach().reshape(-1))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize(
    ("rules", "share"), [(ATTNLRP_RULES, 0.0), (SPLIT_RULES, 0.5)], ids=["held", "split"]
)
def test_norms(name: str, rules: RuleTable, share: float) -> None:
    op, statistic = NORMS[name]
    z, reference = _by_definition(statistic, share)
    check_rule(op, z, rules=rules, reference=reference)


@pytest.mark.parametrize("name", BATCH_NORMS)
@pytest.mark.parametrize(
    ("rules", "share"), [(ATTNLRP_RULES, 0.0), (SPLIT_RULES, 0.5)], ids=["held", "split"]
)
def test_norms_of_a_batch(name: str, rules: RuleTable, share: float) -> None:
    op, statistic = BATCH_NORMS[name]
    z, reference = _by_definition(statistic, share)
    with pytest.warns(TrainingModeWarning, match="batch_norm ran in training mode"):
        check_rule(op, z, rules=rules, reference=reference)


def test_weights_and_biases_of_split_norms_enter_as_they_are() -> None:
    weight, bias = torch.randn(4).double(), torch.randn(4).double()
    x = torch.randn(2, 4, 3).double()
    for norm in (
        lambda x, *p: F.group_norm(x, 2, *p),
        lambda x, *p: F.instance_norm(x, None, None, *p),
    ):
        plain = linearize(norm, x, rules=SPLIT_RULES, strict=True)
        scaled = linearize(lambda x, n=norm: n(x, weight, bias), x, rules=SPLIT_RULES)
        check_affine_map(scaled)
        by_channel = weight.view(1, 4, 1, 1, 1)
        torch.testing.assert_close(scaled.weight(), plain.weight() * by_channel, **ROUNDING)


def test_running_statistics_are_constants_that_nothing_is_split_with() -> None:
    network = nn.BatchNorm2d(3).double().eval()
    nn.init.uniform_(network.running_var, 0.5, 2)
    x = torch.randn(2, 3, 2, 2).double()
    maps = [linearize(network, x, rules=rules, strict=True) for rules in TABLES]
    for affine_map in maps[1:]:
        torch.testing.assert_close(affine_map.weight(), maps[0].weight(), **ROUNDING)
