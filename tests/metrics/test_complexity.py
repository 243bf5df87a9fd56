"""Gini index and entropy: known answers, slow references, laws and a peer."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from captum_ilin.metrics import Direction, MetricInputError, entropy, gini

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics import Scores

# Sums of fewer than 100 numbers of magnitude up to 5 in float64, in two orders.
ROUNDING = {"rtol": 100 * 2**-53, "atol": 500 * 2**-53}


def slow_gini(values: list[float]) -> float:
    """Half the mean difference of all pairs over the mean: Gini's own definition."""
    sizes = [abs(value) for value in values]
    pairs = math.fsum(abs(a - b) for a, b in itertools.product(sizes, sizes))
    return pairs / (2 * len(sizes) * math.fsum(sizes))


def slow_entropy(values: list[float]) -> float:
    total = math.fsum(abs(value) for value in values)
    shares = [abs(value) / total for value in values if value != 0]
    return -math.fsum(share * math.log(share) for share in shares)


def attributions(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(5, 3, 4, generator=generator, dtype=torch.float64)
    values[0, 0] = 0
    return values


@pytest.mark.parametrize(("metric", "slow"), [(gini, slow_gini), (entropy, slow_entropy)])
def test_definitions(
    metric: Callable[..., Scores], slow: Callable[[list[float]], float]
) -> None:
    values = attributions()
    expected = torch.tensor(
        [slow(row.flatten().tolist()) for row in values], dtype=torch.float64
    )
    torch.testing.assert_close(metric(values).values, expected, **ROUNDING)


def test_hand_computed() -> None:
    # Sorted 1, 2, 5: G = (−2·1 + 0·2 + 2·5)/(3·8) = 1/3.
    values = torch.tensor([[-2.0, 5.0, 1.0]])
    assert float(gini(values).values) == pytest.approx(1 / 3, abs=2**-52)
    expected = -(2 / 8 * math.log(2 / 8) + 5 / 8 * math.log(5 / 8) + 1 / 8 * math.log(1 / 8))
    assert float(entropy(values).values) == pytest.approx(expected, abs=2**-51)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_bounds(size: int) -> None:
    equal, single = torch.ones(1, size), torch.zeros(1, size)
    single[0, size // 2] = -3
    assert float(gini(equal).values) == pytest.approx(0, abs=2**-48)
    assert float(gini(single).values) == pytest.approx(1 - 1 / size, abs=2**-52)
    assert float(entropy(equal).values) == pytest.approx(math.log(size), abs=2**-48)
    assert float(entropy(single).values) == 0


@pytest.mark.parametrize("metric", [gini, entropy])
def test_neither_way_is_better(metric: Callable[..., Scores]) -> None:
    assert metric(attributions()).direction is Direction.DESCRIPTIVE


@pytest.mark.parametrize("metric", [gini, entropy])
def test_scale_sign_order_and_batch_do_not_matter(metric: Callable[..., Scores]) -> None:
    values = attributions()
    changed = metric(-4 * values.flip(1, 2)).values
    torch.testing.assert_close(changed, metric(values).values, **ROUNDING)
    alone = torch.cat([metric(row[None]).values for row in values])
    assert torch.equal(metric(values).values, alone)


@pytest.mark.parametrize("metric", [gini, entropy])
def test_masked_values_are_summed_to_one_feature(metric: Callable[..., Scores]) -> None:
    values = attributions()
    rows = torch.arange(3)[:, None].expand(3, 4)[None]
    found = metric(values, feature_mask=rows).values
    torch.testing.assert_close(found, metric(values.sum(2)).values, **ROUNDING)
    assert (found - metric(values).values).abs().max() > 0.01


@pytest.mark.parametrize("metric", [gini, entropy])
@pytest.mark.parametrize("bad", [0.0, torch.nan, torch.inf])
def test_magnitudes_without_shares_have_no_value(
    metric: Callable[..., Scores], bad: float
) -> None:
    values = torch.zeros(2, 3)
    values[0, 1], values[1, 1] = bad, 1
    scores = metric(values)
    assert scores.reasons == (
        "every attribution is 0, or one is not finite: magnitudes have no shares",
        None,
    )


def test_a_tuple_is_read_side_by_side() -> None:
    values = attributions().flatten(1)
    assert torch.equal(gini((values[:, :5], values[:, 5:])).values, gini(values).values)


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MetricInputError, match=r"feature_mask has shape \(1, 3\)"):
        gini(torch.ones(2, 4), feature_mask=torch.zeros(1, 3, dtype=torch.long))


def test_quantus_agrees() -> None:
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed")
    values = torch.rand(
        8, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    for peer, ours in ((quantus.Sparseness, gini), (quantus.Complexity, entropy)):
        theirs = peer(disable_warnings=True)(
            model=torch.nn.Identity(),
            x_batch=values.numpy(),
            y_batch=np.zeros(8, dtype=int),
            a_batch=values.numpy().copy(),
        )
        assert np.abs(np.asarray(theirs) - ours(values).values.numpy()).max() <= 1e-6


@pytest.mark.parametrize("metric", [gini, entropy])
def test_each_example_has_the_features_of_its_own_mask(
    metric: Callable[..., Scores],
) -> None:
    values = attributions().flatten(1)
    mask = torch.arange(12).expand(5, -1).clone()
    mask[1], mask[2] = torch.arange(12) // 6, 3 * torch.arange(12)  # two features; with gaps
    found = metric(values, feature_mask=mask).values
    for row in range(5):
        alone = metric(values[row : row + 1], feature_mask=mask[row : row + 1]).values
        torch.testing.assert_close(found[row : row + 1], alone, **ROUNDING)
    ungrouped = metric(values[2:3]).values
    torch.testing.assert_close(found[2:3], ungrouped, **ROUNDING)
