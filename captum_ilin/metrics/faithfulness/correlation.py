"""``faithfulness_correlation`` (Bhatt 2020): does a subset do what its attributions say?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.baselines import baselines_of
from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import Features
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.subsets import sums_over, values_without
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.features import Inputs

__all__ = ["faithfulness_correlation"]

FLOAT64 = torch.finfo(torch.float64).eps


def faithfulness_correlation(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    baselines: Baselines = None,
    feature_mask: Inputs | None = None,
    runs: int = 100,
    subset_size: float = 0.2,
    subsets: Tensor | None = None,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """Correlation, over random subsets S, of Σ_{i∈S} φ_i with F(x) − F(x with S at x').

    Pearson's, from −1 to 1: higher is better. The subsets have one size and are the same for
    every example.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        target: any of Captum's target forms.
        additional_forward_args: further arguments; tensors with batch rows go by example.
        baselines: x': None (zero), a number, or a tensor shaped like the inputs (or with 1 in
            place of batch).
        feature_mask: integers shaped like the inputs (or with 1 in place of batch): values
            with the same number are one feature.
        runs: how many subsets, 2 or more.
        subset_size: features in a subset, an int; or a float, the share of the example's
            features (rounded, at least 1).
        subsets: integers (runs, size), or (batch, runs, size): the subsets' features by number
            instead of drawn ones; runs, subset_size and seed then count for nothing.
        batch_size: rows that go through the network at once.
        seed: an int or a torch.Generator.

    Returns:
        One correlation for each example; NaN where the sums or the outputs do not vary over
        the subsets, or are not finite.

    Raises:
        MetricInputError: fewer than two runs, a size out of range, shapes that do not fit.

    Cost: runs + 1 forward rows for each example.

    Source: Bhatt, Weller and Moura, "Evaluating and aggregating feature-based model
    explanations", 2020, definition 3.

    >>> import torch
    >>> from captum_ilin.metrics import faithfulness_correlation
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> faithfulness_correlation(lambda x: x.sum(1), x, attributions=x, subset_size=2)
    Scores(faithfulness correlation ↑: mean 1, median 1, n 1, NaN 0)
    """
    features = Features(inputs, feature_mask)
    scores = features.of(attributions)
    chosen = (
        _drawn(features.present(), runs, subset_size, seed)
        if subsets is None
        else _given(subsets.to(scores.device), features.count, len(scores))
    )
    values = Values(forward_func, len(scores), target, additional_forward_args, batch_size)
    base = baselines_of(inputs, baselines)
    sums = sums_over(chosen, scores)
    outputs = values_without(chosen, values, features, base)
    falls = values.of(inputs)[:, None] - outputs
    rounding = scores.abs().sum(1) * features.count
    return _correlation(sums, falls, rounding, values.unmoved(outputs))


def _drawn(present: Tensor, runs: int, subset_size: float, seed: Seed) -> Tensor:
    """(1 or batch, runs, count) bool: the features with the smallest of random keys.

    One row of keys for each feature, so that more features in another example's mask leave
    these as they are.
    """
    if runs < 2:
        raise MetricInputError(f"runs is {runs}; expected 2 or more, to correlate over.")
    rows = (present[:1] if bool((present == present[:1]).all()) else present).cpu()
    keys = torch.rand(
        present.shape[1], runs, generator=generator_of(seed), dtype=torch.float64
    ).T
    chosen = []
    for there, size in zip(rows, _sizes(rows.sum(1), subset_size), strict=True):
        own = keys.where(there, torch.inf)
        chosen.append(own <= own.kthvalue(int(size), dim=1, keepdim=True).values)
    return torch.stack(chosen).to(present.device)


def _sizes(counts: Tensor, subset_size: float) -> Tensor:
    fewest = int(counts.min())
    if isinstance(subset_size, float):
        if not 0 < subset_size < 1:
            raise MetricInputError(
                f"subset_size is {subset_size}; expected a share above 0 and below 1, or an "
                "int, the number of features."
            )
        return (counts * subset_size).round().clamp_min(1)
    if not 1 <= subset_size <= fewest:
        raise MetricInputError(
            f"subset_size is {subset_size}; expected from 1 to {fewest}, the features of the "
            "example that has fewest, or a float, a share of them."
        )
    return torch.full_like(counts, subset_size)


def _given(subsets: Tensor, count: int, batch: int) -> Tensor:
    """(1 or batch, runs, count) bool, from numbers of features."""
    rows = subsets[None] if subsets.dim() == 2 else subsets
    fits = rows.dim() == 3 and len(rows) in (1, batch) and rows.shape[1] >= 2
    if not fits or rows.is_floating_point():
        raise MetricInputError(
            f"subsets has shape {tuple(subsets.shape)} and dtype {subsets.dtype}; expected "
            f"integers (runs, size) or ({batch}, runs, size), with 2 runs or more."
        )
    if int(rows.min()) < 0 or int(rows.max()) >= count:
        raise MetricInputError(
            f"subsets holds numbers from {int(rows.min())} to {int(rows.max())}; expected "
            f"features, from 0 to {count - 1}."
        )
    none = torch.zeros(*rows.shape[:2], count, dtype=torch.bool, device=rows.device)
    return none.scatter_(2, rows.long(), True)


def _correlation(sums: Tensor, falls: Tensor, rounding: Tensor, still: Tensor) -> Scores:
    """Pearson's over dimension 1.

    Sums that differ by no more than the rounding of a sum of so many terms do not vary, nor do
    outputs that are still: correlating them would correlate rounding errors.
    """
    sums, falls = (part - part.mean(1, keepdim=True) for part in (sums, falls))
    product = (sums * falls).sum(1) / (sums.norm(dim=1) * falls.norm(dim=1))
    finite = sums.isfinite().all(1) & falls.isfinite().all(1)
    same_sums = sums.abs().amax(1) <= FLOAT64 * rounding
    values = product.clamp(-1, 1).where(finite & ~same_sums & ~still, torch.nan)
    reasons = [
        "An attribution or an output is not finite."
        if not is_finite
        else "The attributions of all subsets have the same sum."
        if is_same
        else "The output is the same for all subsets."
        for is_finite, is_same in zip(finite.tolist(), same_sums.tolist(), strict=True)
    ]
    return Scores.of("faithfulness correlation", Direction.HIGHER, values, reasons)
