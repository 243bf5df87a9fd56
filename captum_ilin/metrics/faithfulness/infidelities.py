"""``infidelity`` (Yeh 2019): how well Σ I φ foretells F(x) − F(x − I), through Captum.

    raw         E_I [(Σ I φ − ΔF)²],    ΔF = F(x) − F(x − I)
    normalised  E_I [(β Σ I φ − ΔF)²],  β = E[Σ I φ ΔF] / E[(Σ I φ)²]

Slopes meet the perturbation I itself; contributions hold the factor x − x' already and meet
I / (x − x'). Captum computes, from perturbations that are made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.metrics import infidelity as captum_infidelity
from torch import Tensor

from captum_ilin.metrics.baselines import baselines_of
from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.explaining import multiplies_by_inputs
from captum_ilin.metrics.faithfulness.perturbations import GaussianNoise
from captum_ilin.metrics.features import Features, as_tuple
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.faithfulness.perturbations import Perturbation
    from captum_ilin.metrics.features import Inputs

__all__ = ["infidelity"]


def infidelity(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    method: Method | None = None,
    multiply_by_inputs: bool | None = None,
    target: Any = None,
    additional_forward_args: Any = None,
    baselines: Baselines = None,
    feature_mask: Inputs | None = None,
    perturbation: Perturbation | None = None,
    n_perturb_samples: int = 100,
    normalize: bool = False,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """Mean squared error of the attributions as a forecast of perturbed outputs.

    E_I [(β Σ_i I_i φ_i − (F(x) − F(x − I)))²] with β = 1, or with ``normalize`` the β that
    makes it smallest (0 where Σ I φ is always 0). Lower is better, in squared units of the
    output; not normalised it depends on the scale of the attributions.

    Whether φ are slopes or contributions decides what I is: for contributions (W ∘ x) every
    I_i is divided by x_i − x'_i, as Captum's ``infidelity_perturb_func_decorator(True)`` does,
    with the division left out where x_i = x'_i. A contribution there is 0 and cannot foretell
    noise, so an exact contribution has infidelity above 0 under Gaussian noise wherever an
    input equals its baseline; under ``BaselineSubset`` it does not.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        method: forward function → explainer, such as a Captum class: its
            ``multiplies_by_inputs`` says which of the two the attributions are.
        multiply_by_inputs: True for contributions, False for slopes; overrides ``method``.
        target: any of Captum's target forms.
        additional_forward_args: further arguments; tensors with batch rows go by example.
        baselines: x', those the method used: None (zero), a number, or a tensor shaped like
            the inputs (or with 1 in place of batch).
        feature_mask: integers shaped like the inputs (or with 1 in place of batch): values
            with the same number are replaced together by ``BaselineSubset``.
        perturbation: default ``GaussianNoise(0.1)``; or ``BaselineSubset()``.
        n_perturb_samples: how many perturbations, the same for every example.
        normalize: β-normalised.
        batch_size: rows that go through the network at once.
        seed: an int or a torch.Generator; the global generator is not used.

    Returns:
        One infidelity for each example; NaN where attributions or outputs are not finite.

    Raises:
        MetricInputError: neither method nor multiply_by_inputs is given, or shapes do not fit.

    Cost: n_perturb_samples forward rows for each example, and one more for every chunk of
    max(batch, batch_size) of them: Captum computes F(x) anew for each.

    Source: Yeh et al., "On the (in)fidelity and sensitivity of explanations", 2019, definition
    2.1; β as in the authors' code and ``captum.metrics.infidelity``.

    >>> import torch
    >>> from captum.attr import InputXGradient
    >>> from captum_ilin.metrics import infidelity
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> scores = infidelity(lambda x: x.sum(1), x, attributions=x, method=InputXGradient)
    >>> scores.values < 1e-12  # a linear function, and its exact contributions
    tensor([True])
    """
    contributions = _are_contributions(method, multiply_by_inputs, forward_func)
    if n_perturb_samples < 1:
        raise MetricInputError(f"n_perturb_samples is {n_perturb_samples}; expected 1 or more.")
    features = Features(inputs, feature_mask)
    finite = features.of(attributions).isfinite().all(1)
    batch = len(finite)
    values = Values(forward_func, batch, target, additional_forward_args, batch_size)
    perturb = _Perturb(
        features,
        baselines_of(inputs, baselines),
        GaussianNoise() if perturbation is None else perturbation,
        contributions,
        n_perturb_samples,
        seed,
    )
    found = captum_infidelity(
        lambda *arguments: values(arguments[:-1], arguments[-1]),
        perturb,
        features.parts,
        tuple(part.detach().double() for part in as_tuple(attributions)),
        additional_forward_args=torch.arange(batch, device=finite.device),
        n_perturb_samples=n_perturb_samples,
        max_examples_per_batch=max(batch, min(batch_size, batch * n_perturb_samples)),
        normalize=normalize,
    )
    # An expectation of squares: below 0 only by rounding, when Captum expands the square.
    return _scores(found.clamp_min(0), finite, normalize)


def _are_contributions(
    method: Method | None, multiply_by_inputs: bool | None, forward_func: Callable[..., Any]
) -> bool:
    if multiply_by_inputs is not None:
        return multiply_by_inputs
    if method is None:
        raise MetricInputError(
            "infidelity cannot tell whether the attributions are contributions or slopes, and "
            "its value depends on it. Pass method=, such as a Captum class, or "
            "multiply_by_inputs=True for contributions, False for slopes."
        )
    return multiplies_by_inputs(method, forward_func)


class _Perturb:
    """Captum's ``perturb_func``: called chunk by chunk, it hands out the draws in order."""

    def __init__(
        self,
        features: Features,
        base: tuple[Tensor, ...],
        perturbation: Perturbation,
        contributions: bool,
        samples: int,
        seed: Seed,
    ) -> None:
        self.features = features
        self.base = base
        self.perturbation = perturbation
        self.contributions = contributions
        drawn = perturbation.draw(features, samples, generator_of(seed))
        self.drawn = drawn.to(features.values.device)
        self.used = 0

    def __call__(self, repeated: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(I, x − I) for every example, each repeated for as many samples as are due."""
        batch = len(self.features.values)
        due = len(as_tuple(repeated)[0]) // batch
        examples = torch.arange(batch, device=self.drawn.device).repeat_interleave(due)
        drawn = self.drawn[self.used : self.used + due].repeat(batch, 1)
        self.used += due
        moved = self.perturbation.perturbed(self.features, drawn, examples, self.base)
        differences = [
            part.double()[examples] - after.double()
            for part, after in zip(self.features.parts, moved, strict=True)
        ]
        if self.contributions:
            differences = [
                difference / self._factor(part, base)[examples]
                for difference, part, base in zip(
                    differences, self.features.parts, self.base, strict=True
                )
            ]
        return tuple(differences), moved

    def _factor(self, part: Tensor, base: Tensor) -> Tensor:
        """x − x', with 1 in place of 0."""
        factor = part.double() - base.double()
        return factor.where(factor != 0, 1.0)


def _scores(found: Tensor, finite: Tensor, normalize: bool) -> Scores:
    """NaN where an attribution or an output is not finite, with the reason."""
    values = found.where(found.isfinite(), torch.nan)
    reasons = [
        "An output is not finite." if ranked else "An attribution is not finite."
        for ranked in finite.tolist()
    ]
    name = "infidelity (normalised)" if normalize else "infidelity"
    return Scores.of(name, Direction.LOWER, values, reasons)
