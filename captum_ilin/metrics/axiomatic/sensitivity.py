"""Sensitivity-n: whether the attributions of n features say what removing them does.

r_n = Pearson_S( Σ_{i∈S} φ_i ,  F(x) − F(x with S at the baseline) ),   |S| = n
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.baselines import baselines_of
from captum_ilin.metrics.chance import Seed, generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import Features, as_tuple
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.subsets import sums_over, values_without
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.features import Inputs

__all__ = ["sensitivity_n"]


def sensitivity_n(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    sizes: int | Sequence[int],
    target: Any = None,
    additional_forward_args: Any = None,
    baselines: Baselines = None,
    feature_mask: Inputs | None = None,
    subsets: int = 100,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """Correlation of summed attributions with the change that removing those features makes.

    Pearson's r over random subsets S of n features, between Σ_{i∈S} φ_i and F(x) − F(x with
    S replaced by the baseline); for several sizes its mean over them. 1 at every n holds for
    a linear F whose attributions are contributions against the same baseline.

    Args:
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        sizes: n, from 1 to one less than there are features; one or several.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        baselines: what replaces the features of S: None (zero), a number, or a tensor shaped
            like the inputs (or with 1 in place of batch).
        feature_mask: Captum's; values with the same number are one feature.
        subsets: how many S of each size; every example gets the same.
        batch_size: rows that go through the network at once.
        seed: an int or a generator.

    Returns:
        Higher is better, −1 to 1; NaN where either side is the same for every S (to the
        rounding of the input's or output's type for F) or not finite, at any of the sizes.

    Raises:
        MetricInputError: a size or the number of subsets is out of range, or attributions do
            not fit.

    Cost: 1 + sizes·subsets rows forward for each example.

    Source: Ancona et al. 2018, arXiv 1711.06104, section 4 (sensitivity-n).

    >>> import torch
    >>> from captum_ilin.metrics import sensitivity_n
    >>> w, x = torch.tensor([1.0, -2.0, 3.0, 0.5]), torch.rand(2, 4)
    >>> scores = sensitivity_n(lambda x: x @ w, x, x * w, sizes=(1, 2))
    >>> bool((scores.values > 0.9999).all())
    True
    """
    parts = as_tuple(inputs)
    features = Features(parts, feature_mask)
    present = features.present()
    chosen = _checked((sizes,) if isinstance(sizes, int) else tuple(sizes), present, subsets)
    values = Values(forward_func, len(parts[0]), target, additional_forward_args, batch_size)
    base = baselines_of(parts, baselines)
    contributions, output = features.of(attributions), values.of(parts)
    generator = generator_of(seed)
    found = []
    for n in chosen:
        drawn = _drawn(subsets, present, n, generator)
        removed = values_without(drawn, values, features, base)
        r = _correlation(sums_over(drawn, contributions), output[:, None] - removed)
        found.append(torch.where(values.unmoved(removed), torch.nan, r))
    return _mean(chosen, torch.stack(found, 1))


def _checked(sizes: tuple[int, ...], present: Tensor, subsets: int) -> tuple[int, ...]:
    fewest = int(present.sum(1).min())
    wrong = [n for n in sizes if not 1 <= n < fewest]
    if not sizes or wrong:
        raise MetricInputError(
            f"sizes holds {wrong or 'nothing'}; expected numbers from 1 to "
            f"{fewest - 1}, because there are {fewest} features and only one "
            "subset has them all."
        )
    if subsets < 2:
        raise MetricInputError(
            f"subsets is {subsets}; expected 2 or more, because a correlation needs them."
        )
    return sizes


def _drawn(subsets: int, present: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(1 or batch, subsets, count) bool with ``size`` of an example's features in each row.

    Keys are drawn feature by feature, so that more features in another example's mask leave
    these as they are.
    """
    rows = present[:1] if bool((present == present[:1]).all()) else present
    keys = torch.rand(present.shape[1], subsets, generator=generator).T.to(present.device)
    chosen = keys[None].where(rows[:, None], torch.inf).argsort(2)[:, :, :size]
    none = torch.zeros(
        *chosen.shape[:2], present.shape[1], dtype=torch.bool, device=rows.device
    )
    return none.scatter_(2, chosen, True)


def _correlation(sums: Tensor, changes: Tensor) -> Tensor:
    """(batch,) Pearson's r along the last dimension; NaN where the sums are constant.

    They are in float64, and vary if by more than 16 units of its rounding.
    """
    x, y = (values - values.mean(1, keepdim=True) for values in (sums, changes))
    spread = sums.amax(1) - sums.amin(1)
    constant = spread <= 16 * torch.finfo(torch.float64).eps * sums.abs().amax(1)
    r = (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))
    return torch.where(constant, torch.nan, r.clamp(-1, 1))


def _mean(sizes: tuple[int, ...], found: Tensor) -> Scores:
    """The mean over sizes of (batch, sizes)."""
    missing = [
        [n for n, is_nan in zip(sizes, row, strict=True) if is_nan]
        for row in found.isnan().tolist()
    ]
    reasons = [
        "the summed attributions, or the changes of the output, are not finite or the same for "
        f"every subset of {', '.join(map(str, row))} features"
        for row in missing
    ]
    return Scores.of("sensitivity-n", Direction.HIGHER, found.mean(1), reasons)
