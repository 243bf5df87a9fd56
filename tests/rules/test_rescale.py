"""Slopes between two points, number by number: how exact they are, and what they cost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import ILIN, linearize
from captum_ilin.allocation import Allocation
from captum_ilin.linearization import Comparison, between
from captum_ilin.rules.references.softmaxes import _means, logarithmic_mean
from captum_ilin.rules.rescale import rescaling

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = [torch.float32, torch.float64]


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# Softmax: the logarithmic mean of two patterns.


def error_of_means(
    means: Callable[..., Tensor], separation: float, dtype: torch.dtype
) -> float:
    """The largest relative error, in units of ε^⅔, which is what the rule promises."""
    there = torch.randn(64, 16, dtype=dtype)
    here = there + separation * torch.randn(64, 16, dtype=dtype)
    here[3, :5] = there[3, :5]
    here[5, 2:4] = there[5, 2:4] = -torch.inf
    found = means(here, there, here.softmax(1), there.softmax(1), 1).double()
    expected = logarithmic_mean(*(z.double().log_softmax(1) for z in (here, there)))
    error = (found - expected).abs() / expected.clamp_min(1e-300)
    return float(error.max()) / torch.finfo(dtype).eps ** (2 / 3)


SEPARATIONS = [0.0, 1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 8.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("separation", SEPARATIONS)
def test_means_of_two_softmaxes(separation: float, dtype: torch.dtype) -> None:
    assert error_of_means(_means, separation, dtype) < 20


def test_the_quotient_alone_is_noise_at_near_points() -> None:
    def quotient(here: Tensor, there: Tensor, value: Tensor, other: Tensor, dim: int) -> Tensor:
        steps = here - there - (here.logsumexp(dim, True) - there.logsumexp(dim, True))
        return ((value - other) / steps).nan_to_num(nan=0.0)

    assert error_of_means(quotient, 1e-6, torch.float32) > 1e3


def test_the_series_alone_is_wrong_at_distant_points() -> None:
    def series(here: Tensor, there: Tensor, value: Tensor, other: Tensor, dim: int) -> Tensor:
        return (value + other) / 2

    assert error_of_means(series, 1.0, torch.float64) > 1e3


# Functions of each element, where everything is small.

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "square": torch.square,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "expm1": torch.expm1,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_of_small_numbers(name: str, size: float, dtype: torch.dtype) -> None:
    """Against the mean of the derivative between the points, in float64."""
    function = FUNCTIONS[name]
    there = size * torch.randn(4000, dtype=dtype)
    here = there + size * torch.logspace(-8, 0, 4000, dtype=dtype) * torch.randn(4000).to(dtype)
    _, slope = rescaling(function, here, there)
    z, before = here.double(), there.double()
    exact = _mean_slope(function, z, before)
    error = (slope.double() - exact).abs().max() / exact.abs().max()
    assert float(error) < 30 * torch.finfo(dtype).eps ** (2 / 3)


def _mean_slope(function: Callable[[Tensor], Tensor], here: Tensor, there: Tensor) -> Tensor:
    """∫ φ'(z' + t Δz) dt by sixty nodes of Gauss and Legendre: no quotient of differences."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(60))
    shares, weights = (nodes[:, None] + 1) / 2, weights / 2
    points = (there + shares * (here - there)).requires_grad_()
    (slopes,) = torch.autograd.grad(function(points).sum(), points)
    return weights @ slopes


# In place.

WRITES: dict[str, tuple[Callable[[Tensor], Any], Callable[[Tensor], Tensor]]] = {
    "relu": (torch.relu_, torch.relu),
    "relu6": (partial(F.relu6, inplace=True), F.relu6),
    "leaky relu": (partial(F.leaky_relu, inplace=True), F.leaky_relu),
    "silu": (partial(F.silu, inplace=True), F.silu),
    "sigmoid": (torch.sigmoid_, torch.sigmoid),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("part", ["whole", "view"])
def test_in_place_and_out_of_place_agree(name: str, part: str) -> None:
    write, plain = WRITES[name]
    layer = nn.Linear(6, 6).double()

    def written(x: Tensor) -> Tensor:
        z = layer(x)
        write(z if part == "whole" else z[:, 1:4])
        return z * z.sum(1, keepdim=True)

    def out_of_place(x: Tensor) -> Tensor:
        z = layer(x)
        y = plain(z)
        y = y if part == "whole" else torch.cat([z[:, :1], y[:, 1:4], z[:, 4:]], 1)
        return y * y.sum(1, keepdim=True)

    x, baseline = double(3, 6), double(3, 6)
    x[0] = baseline[0]
    for baselines in (baseline, x.clone()):
        found = ILIN(written, multiply_by_inputs=False).attribute(x, 2, baselines=baselines)
        expected = ILIN(out_of_place, multiply_by_inputs=False).attribute(
            x, 2, baselines=baselines
        )
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        mapped = linearize(written, x, baselines=baselines).weight()
        torch.testing.assert_close(
            mapped, linearize(out_of_place, x, baselines=baselines).weight()
        )


def test_a_write_in_place_has_one_gradient() -> None:
    """``copy_`` would give what was overwritten a gradient of zeros, to be made and added."""
    x = double(2, 4).requires_grad_()
    compare = Comparison.at((double(2, 4),), torch.relu_, (), None, strict=True)
    nodes, names = [between(torch.relu_, lambda: compare)(x).grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None:
            names.append(node.name())
            nodes += [parent for parent, _ in node.next_functions]
    assert not any("Copy" in name for name in names), names


# Batch norm by running statistics.


@pytest.mark.parametrize("named", [False, True])
def test_batch_norm_whose_input_is_named(named: bool) -> None:
    mean, variance = double(4), double(4).square() + 0.5

    def forward(x: Tensor) -> Tensor:
        if named:
            return F.batch_norm(input=x, running_mean=mean, running_var=variance).exp().sum(2)
        return F.batch_norm(x, mean, variance).exp().sum(2)

    x, baseline = double(3, 4, 5), double(3, 4, 5)
    terms = ILIN(forward).attribute(x, target=1, baselines=baseline)
    change = (forward(x) - forward(baseline))[:, 1]
    torch.testing.assert_close(terms.flatten(1).sum(1), change)


# Memory.


def test_what_was_recorded_is_freed_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(*[nn.GELU() for _ in range(12)], nn.Flatten())
    x, baseline = torch.randn(1, 40_000), torch.randn(1, 40_000)

    def peak() -> int:
        with Allocation() as allocation:
            ILIN(network).attribute(x, target=0, baselines=baseline)
        return allocation.peak

    freed = peak()
    monkeypatch.setattr(Comparison, "only_run", Comparison.run)
    assert freed < 0.7 * peak()
