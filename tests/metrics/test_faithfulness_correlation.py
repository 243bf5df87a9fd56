"""Faithfulness correlation: known answers, the definition in loops, a peer and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_ilin.metrics import MetricInputError, faithfulness_correlation
from tests.fingerprint import untouched

# A correlation of 20 sums of float64 numbers below 10.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}


def network() -> nn.Module:
    torch.manual_seed(3)
    layers = (nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))
    return nn.Sequential(*layers).double().eval()


def data(batch: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x, attributions = torch.randn(2, batch, 3, 4, generator=generator, dtype=torch.float64)
    return x, attributions


def drawn(batch: int | None = None, runs: int = 20, size: int = 5, count: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    shape = (runs, count) if batch is None else (batch, runs, count)
    return torch.rand(shape, generator=generator).argsort(-1)[..., :size]


@torch.no_grad()
def slow(forward: Any, x: Tensor, phi: Tensor, base: Tensor, subsets: Tensor) -> float:
    """One example, subset by subset."""
    sums, falls = [], []
    for subset in subsets.tolist():
        values = x.flatten().tolist()
        for index in subset:
            values[index] = float(base.flatten()[index])
        other = torch.tensor(values, dtype=x.dtype).reshape(x.shape)
        falls.append(float(forward(x[None])) - float(forward(other[None])))
        sums.append(sum(float(phi.flatten()[index]) for index in subset))
    return float(np.corrcoef(sums, falls)[0, 1])


@pytest.mark.parametrize("batch", [None, 3])
def test_the_definition(batch: int | None) -> None:
    model, (x, attributions) = network(), data()
    subsets, base = drawn(batch), torch.rand_like(x)
    found = faithfulness_correlation(
        model,
        x,
        attributions,
        target=[0, 1, 2],
        baselines=base,
        subsets=subsets,
        batch_size=7,
    ).values
    for row in range(3):
        expected = slow(
            lambda one, row=row: model(one)[0, row],
            *(x[row], attributions[row], base[row]),
            subsets if batch is None else subsets[row],
        )
        assert float(found[row]) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_linear_model() -> None:
    """Its contributions correlate at 1, their opposites at −1; slopes do not."""
    w = torch.arange(1.0, 13).double().reshape(3, 4)
    x, _ = data()

    def forward(x: Tensor) -> Tensor:
        return (x * w).flatten(1).sum(1)

    one = torch.ones(3).double()
    found = faithfulness_correlation(forward, x, x * w).values
    torch.testing.assert_close(found, one, **ROUNDING)
    opposite = faithfulness_correlation(forward, x, -x * w).values
    torch.testing.assert_close(opposite, -one, **ROUNDING)
    shifted = faithfulness_correlation(forward, x, (x - 2) * w, baselines=2.0).values
    torch.testing.assert_close(shifted, one, **ROUNDING)
    slopes = faithfulness_correlation(forward, x, w.expand_as(x)).values
    assert (slopes < 0.9).all()


def test_a_scale_and_a_shift_do_not_count() -> None:
    """All subsets have one size, so a constant added to φ shifts every sum by the same."""
    model, (x, attributions) = network(), data()
    found = faithfulness_correlation(model, x, attributions, target=0).values
    other = faithfulness_correlation(model, x, 3 * attributions + 2, target=0).values
    torch.testing.assert_close(other, found, **ROUNDING)
    squared = faithfulness_correlation(model, x, attributions**2, target=0).values
    assert not torch.allclose(squared, found, atol=0.01)


def test_drawn_subsets_have_their_size_and_follow_the_seed() -> None:
    """F counts what is removed; with 12 values of 1 it falls by the size of the subset."""
    x, attributions = torch.ones(2, 12), torch.rand(2, 12)
    removed = []

    def forward(x: Tensor) -> Tensor:
        removed.extend((x == 0).sum(1).tolist())
        return (x * torch.arange(12)).sum(1)

    def found(seed: Any, size: float = 5) -> list[float]:
        scores = faithfulness_correlation(forward, x, attributions, subset_size=size, seed=seed)
        return scores.values.tolist()

    assert found(3) == found(torch.Generator().manual_seed(3)) != found(4)
    assert set(removed) == {0, 5}
    for share, size in ((0.25, 3), (0.3, 4), (0.01, 1)):
        removed.clear()
        found(0, share)
        assert set(removed) == {0, size}


def test_nothing_depends_on_the_rest_of_the_batch() -> None:
    """Also where each example has groups of its own."""
    model, (x, attributions) = network(), data()
    mask = torch.stack([torch.arange(12) // 3, torch.arange(12), torch.arange(12) // 2 + 3])
    for groups in (None, mask.reshape(3, 3, 4)):
        options: Any = {"subset_size": 0.5, "feature_mask": groups}
        together = faithfulness_correlation(
            model, x, attributions, target=[0, 1, 2], **options
        ).values
        small = faithfulness_correlation(
            model, x, attributions, target=[0, 1, 2], batch_size=3, **options
        )
        torch.testing.assert_close(small.values, together, **ROUNDING)
        for row in range(3):
            one = slice(row, row + 1)
            options["feature_mask"] = groups if groups is None else groups[one]
            alone = faithfulness_correlation(
                model, x[one], attributions[one], target=row, **options
            )
            torch.testing.assert_close(alone.values, together[one], **ROUNDING)


def test_nothing_of_the_caller_changes() -> None:
    model, (x, attributions) = network(), data()
    x.requires_grad_()
    attributions.requires_grad_()
    with untouched(model, x, attributions):
        faithfulness_correlation(model, x, attributions, target=0)


def test_values_that_are_missing_have_a_reason() -> None:
    x, attributions = torch.rand(4, 200).double(), torch.rand(4, 200).double()
    attributions[0] = 0.1
    attributions[1, 3] = torch.nan
    x[2] = 0
    scores = faithfulness_correlation(lambda x: x.sum(1), x, attributions)
    assert scores.reasons == (
        "The attributions of all subsets have the same sum.",
        "An attribution or an output is not finite.",
        "The output is the same for all subsets.",
        None,
    )


def test_rounding_errors_are_not_correlated() -> None:
    """Groups of the same attribution, 0.1 + 0.2 and 0.3 + 0: their sums differ in one bit."""
    x = torch.rand(1, 16).double()
    constant = torch.tensor([[0.1, 0.2, 0.3, 0.0] * 4], dtype=torch.float64)
    assert len({0.1 + 0.2, 0.3 + 0.0}) > 1  # the specimen
    (reason,) = faithfulness_correlation(
        lambda x: x.sum(1), x, constant, feature_mask=torch.arange(16)[None] // 2, subset_size=1
    ).reasons
    assert reason == "The attributions of all subsets have the same sum."

    def flat(x: Tensor) -> Tensor:
        """The same for every perturbed input; its mean over the subsets need not be exact."""
        third = torch.full((len(x),), 1 / 3, dtype=torch.float64)
        return third.where((x != 0).all(1), 0.0)

    for runs in range(20, 60):
        scores = faithfulness_correlation(flat, x, torch.rand(1, 16), runs=runs)
        assert scores.reasons == ("The output is the same for all subsets.",)


def test_messages() -> None:
    x = torch.ones(2, 4)

    def check(message: str, **options: Any) -> None:
        with pytest.raises(MetricInputError, match=message):
            faithfulness_correlation(lambda x: x.sum(1), x, x, **options)

    check("runs is 1; expected 2 or more", runs=1)
    check("subset_size is 5; expected from 1 to 4", subset_size=5)
    check(r"subset_size is 1\.5; expected a share", subset_size=1.5)
    check(r"subsets has shape \(3,\) and dtype", subsets=torch.tensor([0, 1, 2]))
    check("subsets holds numbers from 0 to 4", subsets=torch.tensor([[0], [4]]))


def test_quantus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer's own draws, recorded, and its call; the same Pearson correlation."""
    quantus = pytest.importorskip("quantus", reason="the peer is the extra `peers`")
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    x, attributions = torch.randn(2, 3, 1, 16, 16)
    targets = [0, 1, 2]
    draws = []
    choose = np.random.choice

    def recorded(*arguments: Any, **options: Any) -> Any:
        draws.append(choose(*arguments, **options))
        return draws[-1]

    monkeypatch.setattr(np.random, "choice", recorded)
    metric = quantus.FaithfulnessCorrelation(
        nr_runs=40,
        subset_size=100,
        perturb_baseline="black",
        normalise=False,
        abs=False,
        return_aggregate=False,
        disable_warnings=True,
    )
    expected = metric(
        model=model,
        x_batch=x.numpy(),
        y_batch=np.array(targets),
        a_batch=attributions.numpy(),
        device="cpu",
    )
    subsets = torch.tensor(np.stack(draws)).reshape(40, 3, 100).transpose(0, 1)
    black = x.amin((1, 2, 3), keepdim=True).expand_as(x)  # the smallest value of an example
    found = faithfulness_correlation(
        model, x, attributions, target=targets, baselines=black, subsets=subsets
    )
    # The peer sums and correlates in float32: 100 terms, 40 values.
    torch.testing.assert_close(
        found.values, torch.tensor(expected).double(), rtol=0, atol=140 * 2**-24
    )
