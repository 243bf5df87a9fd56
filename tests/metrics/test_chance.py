"""Chance: a seed decides all that is random, and nobody else's generators move."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from captum.attr import GradientShap
from torch import nn

from captum_ilin.metrics import (
    cost,
    efficient_mprt,
    linearity,
    max_sensitivity,
    mprt,
    random_logit,
    relative_input_stability,
    relative_output_stability,
)
from captum_ilin.metrics.chance import drawing_from, generator_of
from tests.networks import relu_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

NETWORK = relu_mlp(6, 8, 3)
OPTIONS: dict[str, Any] = {
    "target": 1,
    "attribute_kwargs": {"baselines": torch.randn(5, 6).double()},
}

# GradientShap draws from PyTorch's generator and from NumPy's
MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "max-sensitivity": lambda x: max_sensitivity(GradientShap, NETWORK, x, **OPTIONS).values,
    "input": lambda x: relative_input_stability(GradientShap, NETWORK, x, **OPTIONS).values,
    "output": lambda x: relative_output_stability(GradientShap, NETWORK, x, **OPTIONS).values,
    "linearity": lambda x: linearity(GradientShap, NETWORK, NETWORK, x, **OPTIONS).values,
    "mprt": lambda x: mprt(GradientShap, NETWORK, x, **OPTIONS).mean().values,
    "efficient": lambda x: efficient_mprt(GradientShap, NETWORK, x, **OPTIONS).values,
    "logit": lambda x: random_logit(GradientShap, NETWORK, x, **OPTIONS)["spearman"].values,
    "cost": lambda x: torch.tensor(cost(GradientShap, NETWORK, x, **OPTIONS).forwards),
}


def states() -> tuple[Any, ...]:
    numpy: Any = np.random.get_state()
    return torch.get_rng_state().tolist(), random.getstate(), numpy[1].tolist(), numpy[2]


@pytest.mark.parametrize("name", MEASURES)
def test_a_random_method_draws_from_the_seed_alone(name: str) -> None:
    x = torch.randn(3, 6).double()
    before = states()
    first = MEASURES[name](x)
    assert states() == before
    assert torch.equal(MEASURES[name](x), first)


def interrupted() -> None:
    with drawing_from(3):
        _ = torch.rand(2), np.random.rand(), random.random()
        raise ZeroDivisionError


def test_generators_are_put_back_after_an_error() -> None:
    before = states()
    with drawing_from(3):
        assert states() != before
    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert states() == before


def test_a_seed_may_be_numpys() -> None:
    seed: Any = np.int64(3)
    drawn = torch.rand(2, generator=generator_of(seed))
    assert torch.equal(drawn, torch.rand(2, generator=generator_of(3)))


def test_a_given_generator_moves_on() -> None:
    generator = torch.Generator().manual_seed(0)
    assert generator_of(generator) is generator
    network, x = nn.Linear(6, 3), torch.randn(3, 6)
    options: dict[str, Any] = OPTIONS | {"attribute_kwargs": {"baselines": x}}
    first, second = (
        max_sensitivity(GradientShap, network, x, seed=generator, **options) for _ in range(2)
    )
    assert not torch.equal(first.values, second.values)
