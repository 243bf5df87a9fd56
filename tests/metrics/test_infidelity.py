"""Infidelity: known answers, the definition in loops, Captum's own handling, and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients, Saliency
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import infidelity_perturb_func_decorator
from torch import Tensor, nn

from captum_ilin.metrics import BaselineSubset, GaussianNoise, MetricInputError, infidelity
from tests.fingerprint import untouched

if TYPE_CHECKING:
    from captum_ilin.metrics import Perturbation

PERTURBATIONS = (GaussianNoise(0.3), BaselineSubset(0.4))
# Means of 20 squares, each of a difference of sums of a few float64 numbers below 10.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}


def network() -> nn.Module:
    torch.manual_seed(3)
    layers = (nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    return nn.Sequential(*layers).double().eval()


def data(batch: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x, attributions = torch.randn(2, batch, 4, generator=generator, dtype=torch.float64)
    x[0, 1] = 0.25  # equal to the baseline
    return x, attributions


class Moved:
    """The perturbed inputs that a seed gives, (samples, 4) for one example."""

    def __init__(self, perturbation: Perturbation, samples: int, seed: int) -> None:
        self.perturbation = perturbation
        generator = torch.Generator().manual_seed(seed)
        shape = (4, samples) if isinstance(perturbation, BaselineSubset) else (samples, 4)
        draw = torch.rand if isinstance(perturbation, BaselineSubset) else torch.randn
        self.drawn = draw(*shape, generator=generator, dtype=torch.float64)

    def __call__(self, x: Tensor, base: float) -> Tensor:
        if isinstance(self.perturbation, GaussianNoise):
            return x - self.perturbation.scale * self.drawn
        probability = self.perturbation.probability
        return torch.stack([x.where(chances >= probability, base) for chances in self.drawn.T])


@torch.no_grad()
def slow_infidelity(
    forward: Any, x: Tensor, attribution: Tensor, moved: Tensor, base: float, flags: tuple
) -> float:
    """Over one example's samples, from the definition."""
    contributions, normalize = flags
    terms, falls = [], []
    for other in moved:
        total = 0.0
        for before, after, phi in zip(
            x.tolist(), other.tolist(), attribution.tolist(), strict=True
        ):
            change = before - after
            if contributions and before != base:
                change /= before - base
            total += change * phi
        terms.append(total)
        falls.append(float(forward(x[None])) - float(forward(other[None])))
    pairs = list(zip(terms, falls, strict=True))
    beta = sum(t * f for t, f in pairs) / sum(t * t for t in terms) if normalize else 1.0
    return sum((beta * t - f) ** 2 for t, f in pairs) / len(pairs)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
@pytest.mark.parametrize("contributions", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_definition(
    perturbation: Perturbation, contributions: bool, normalize: bool
) -> None:
    model, (x, attributions) = network(), data()
    found = infidelity(
        model,
        x,
        attributions,
        multiply_by_inputs=contributions,
        target=[0, 1, 2],
        baselines=0.25,
        perturbation=perturbation,
        n_perturb_samples=20,
        normalize=normalize,
        seed=7,
        batch_size=8,
    ).values
    moved = Moved(perturbation, 20, 7)
    for row in range(3):
        expected = slow_infidelity(
            lambda one, row=row: model(one)[0, row],
            *(x[row], attributions[row], moved(x[row], 0.25), 0.25),
            (contributions, normalize),
        )
        assert float(found[row]) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
@pytest.mark.parametrize("contributions", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_captum_with_its_decorator(
    perturbation: Perturbation, contributions: bool, normalize: bool
) -> None:
    """The same flag, the same perturbed inputs, the same number."""
    model, (x, attributions) = network(), data()
    moved = Moved(perturbation, 20, 7)

    @infidelity_perturb_func_decorator(contributions)
    def perturb(inputs: Tensor, baselines: Tensor) -> Tensor:
        return torch.cat([moved(row, 0.25) for row in x])

    expected = captum_infidelity(
        model,
        perturb,
        x,
        attributions,
        baselines=torch.full((1, 4), 0.25).double(),
        target=1,
        n_perturb_samples=20,
        normalize=normalize,
    )
    found = infidelity(
        model,
        x,
        attributions,
        multiply_by_inputs=contributions,
        target=1,
        baselines=0.25,
        perturbation=perturbation,
        n_perturb_samples=20,
        normalize=normalize,
        seed=7,
    )
    torch.testing.assert_close(found.values, expected, **ROUNDING)


# known answers on F = w·x


W = torch.tensor([2.0, -1.0, 0.5, 3.0]).double()


def linear(x: Tensor) -> Tensor:
    return (x * W).sum(1) + 0.5


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_a_linear_model_and_its_gradient(perturbation: Perturbation) -> None:
    x, _ = data()
    scores = infidelity(
        linear, x, W.expand(3, 4), method=Saliency, baselines=0.25, perturbation=perturbation
    )
    torch.testing.assert_close(scores.values, torch.zeros(3).double(), **ROUNDING)


def test_a_linear_model_and_no_attributions() -> None:
    """E (w·I)² = σ²‖w‖²; (w·I)² has variance 2 σ⁴‖w‖⁴, so five standard errors are 5 √(2/n)."""
    x, _ = data()
    for normalize in (False, True):
        scores = infidelity(
            linear,
            x,
            torch.zeros(3, 4),
            multiply_by_inputs=False,
            perturbation=GaussianNoise(0.3),
            n_perturb_samples=20_000,
            batch_size=60_000,
            normalize=normalize,
        )
        expected = (0.09 * (W**2).sum()).expand(3)
        torch.testing.assert_close(
            scores.values, expected, rtol=5 * (2 / 20_000) ** 0.5, atol=0
        )


def test_a_linear_model_and_its_contributions() -> None:
    """0 for subsets; under noise what the value at its baseline does, σ² w², stays."""
    x, _ = data()
    given: Any = (linear, x, (x - 0.25) * W)
    options: Any = {"method": InputXGradient, "baselines": 0.25}
    subsets = infidelity(*given, perturbation=BaselineSubset(), **options)
    torch.testing.assert_close(subsets.values, torch.zeros(3).double(), **ROUNDING)
    noise = infidelity(
        *given, perturbation=GaussianNoise(0.3), n_perturb_samples=20_000, **options
    )
    assert float(noise.values[0]) == pytest.approx(0.09 * 1.0**2, rel=5 * 0.01)
    torch.testing.assert_close(noise.values[1:], torch.zeros(2).double(), **ROUNDING)


def test_the_wrong_flag_is_seen() -> None:
    x, _ = data()
    wrong = infidelity(linear, x, x * W, multiply_by_inputs=False)
    assert (wrong.values > 1e-3).all()


def test_the_flag_follows_the_method() -> None:
    model, (x, attributions) = network(), data()

    def found(**options: Any) -> list[float]:
        return infidelity(model, x, attributions, target=0, **options).values.tolist()

    def slopes(forward: Any) -> IntegratedGradients:
        return IntegratedGradients(forward, multiply_by_inputs=False)

    as_contributions = found(multiply_by_inputs=True)
    as_slopes = found(multiply_by_inputs=False)
    assert as_contributions != as_slopes
    assert found(method=InputXGradient) == found(method=IntegratedGradients) == as_contributions
    assert found(method=Saliency) == found(method=slopes) == as_slopes
    assert found(method=Saliency, multiply_by_inputs=True) == as_contributions


# laws


def test_only_the_normalised_one_ignores_the_scale() -> None:
    model, (x, attributions) = network(), data()
    options: Any = {"multiply_by_inputs": False, "target": 0}
    once, tenfold = (
        infidelity(model, x, factor * attributions, normalize=True, **options).values
        for factor in (1, 10)
    )
    torch.testing.assert_close(once, tenfold, **ROUNDING)
    raw, raw_tenfold = (
        infidelity(model, x, factor * attributions, **options).values for factor in (1, 10)
    )
    assert (raw_tenfold > 2 * raw).all()
    assert (once <= raw).all()


def test_an_expectation_of_squares_is_not_negative() -> None:
    """Captum expands the square of the normalised one, and rounding takes it below 0."""
    torch.manual_seed(0)
    w, x = torch.randn(6).double(), torch.randn(40, 6).double()
    noise = torch.randn(400, 6).double()

    def forward(x: Tensor) -> Tensor:
        return (x * w).sum(1)

    captum = captum_infidelity(
        forward,
        lambda inputs: (noise, inputs - noise),
        x,
        w.expand(40, 6),
        n_perturb_samples=10,
        normalize=True,
    )
    assert (captum < 0).any()  # the specimen
    ours = infidelity(forward, x, w.expand(40, 6), method=Saliency, normalize=True).values
    assert (ours >= 0).all()
    torch.testing.assert_close(ours, torch.zeros(40).double(), **ROUNDING)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_nothing_depends_on_the_rest_of_the_batch(perturbation: Perturbation) -> None:
    model, (x, attributions) = network(), data()
    options: Any = {"multiply_by_inputs": True, "perturbation": perturbation}
    together = infidelity(model, x, attributions, target=[0, 1, 2], **options).values
    for batch_size in (1, 7, 1000):
        other = infidelity(
            model, x, attributions, target=[0, 1, 2], batch_size=batch_size, **options
        )
        torch.testing.assert_close(other.values, together, **ROUNDING)
    alone = [
        infidelity(model, x[r : r + 1], attributions[r : r + 1], target=r, **options).values
        for r in range(3)
    ]
    torch.testing.assert_close(torch.cat(alone), together, **ROUNDING)


def test_tuples_masks_and_additional_arguments() -> None:
    """The second argument has no row for each example; Captum by itself would repeat it."""
    first, second = torch.rand(3, 2).double(), torch.rand(3, 4).double()
    scale, shift = torch.rand(3).double(), torch.rand(5).double()

    def forward(one: Tensor, other: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return scale * (one.sum(1) - 3 * other.sum(1)) + shift.sum()

    slopes = (scale[:, None].expand(3, 2), -3 * scale[:, None].expand(3, 4))
    scores = infidelity(
        forward,
        (first, second),
        slopes,
        multiply_by_inputs=False,
        additional_forward_args=(scale, shift),
        feature_mask=(torch.tensor([[0, 1]]), torch.tensor([[1, 1, 2, 2]])),
        perturbation=BaselineSubset(),
    )
    torch.testing.assert_close(scores.values, torch.zeros(3).double(), **ROUNDING)


def test_nothing_of_the_caller_changes() -> None:
    model, (x, attributions) = network(), data()
    x.requires_grad_()
    attributions.requires_grad_()
    with untouched(model, x, attributions):
        for perturbation in PERTURBATIONS:
            infidelity(model, x, attributions, method=Saliency, target=0)
            infidelity(
                model,
                x,
                attributions,
                method=Saliency,
                target=0,
                perturbation=perturbation,
                normalize=True,
            )


def test_the_seed_may_be_a_generator() -> None:
    model, (x, attributions) = network(), data()

    def found(seed: Any) -> list[float]:
        scores = infidelity(model, x, attributions, method=Saliency, target=0, seed=seed)
        return scores.values.tolist()

    assert found(3) == found(torch.Generator().manual_seed(3)) != found(4)


# what is undefined, and what does not fit


def test_values_that_are_missing_have_a_reason() -> None:
    x, attributions = torch.ones(3, 4), torch.ones(3, 4)
    attributions[0, 0] = torch.inf
    x[1, 0] = torch.nan
    scores = infidelity(lambda x: x.sum(1), x, attributions, multiply_by_inputs=False)
    assert scores.reasons == ("An attribution is not finite.", "An output is not finite.", None)


def test_messages() -> None:
    x = torch.ones(2, 4)

    def forward(x: Tensor) -> Tensor:
        return x.sum(1)

    with pytest.raises(MetricInputError, match="cannot tell whether the attributions are"):
        infidelity(forward, x, x)
    with pytest.raises(MetricInputError, match="does not say whether it multiplies"):
        infidelity(forward, x, x, method=lambda forward: object())
    with pytest.raises(MetricInputError, match="n_perturb_samples is 0; expected 1 or more"):
        infidelity(forward, x, x, method=Saliency, n_perturb_samples=0)
    with pytest.raises(MetricInputError, match="The noise's scale is 0; expected above 0"):
        GaussianNoise(0)
    with pytest.raises(MetricInputError, match=r"probability of a feature is 1\.5"):
        BaselineSubset(1.5)
    with pytest.raises(MetricInputError, match=r"attributions have shape \(2, 3\)"):
        infidelity(forward, x, x[:, :3], method=Saliency)
