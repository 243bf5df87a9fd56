"""Dummy: how much attribution goes to features that the function does not use.

A feature i is a dummy if it never matters: F(z) = F(z with another value at i) for every z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.chance import Seed, generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import Features, as_tuple, flattened
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.features import Inputs

__all__ = ["dummy"]


def dummy(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    dummies: Inputs | None = None,
    feature_mask: Inputs | None = None,
    draws: int = 8,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """The share of attribution that goes to features the function does not use.

    Σ_{i dummy} |φ_i| / Σ_i |φ_i|. Unless ``dummies`` says which these are, a feature is taken
    for a dummy if replacing it never moves the output by more than rounding: once in the
    input itself and then in inputs where a random half of the features is replaced too,
    because a feature that is idle here may matter elsewhere. Replacements are drawn uniformly
    from the range of the example's own values, widened by its width on either side.

    Args:
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        dummies: bool, shaped like the inputs or with 1 in place of batch: the values that the
            function does not use, where that is known. Then F is not asked.
        feature_mask: Captum's; values with the same number are one feature.
        draws: how often each feature is replaced; every example gets the same draws.
        batch_size: rows that go through the network at once.
        seed: an int or a generator.

    Returns:
        Lower is better, 0 to 1; NaN where the function uses every feature, or where every
        attribution is 0.

    Raises:
        MetricInputError: attributions or dummies do not fit the inputs, draws is not 1 or
            more, or without ``dummies`` the inputs are integers.

    Cost: draws·(1 + features) rows forward for each example; none with ``dummies``.

    Source: the dummy axiom of Shapley 1953; for attributions Friedman 2004 and Sundararajan
    et al. 2017, arXiv 1703.01365 (sensitivity (b)).

    >>> import torch
    >>> from captum_ilin.metrics import dummy
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> dummy(lambda x: x[:, 0] * x[:, 1], x, torch.tensor([[1.0, 2.0, 1.0]])).values
    tensor([0.2500], dtype=torch.float64)
    """
    parts = as_tuple(inputs)
    features = Features(parts, feature_mask)
    magnitudes = features.of(attributions).abs()
    if dummies is None:
        values = Values(
            forward_func, len(parts[0]), target, additional_forward_args, batch_size
        )
        unused = _Search(values, features, draws, seed).unused()
    else:
        unused = _given(dummies, features)
    unused &= features.present()
    total = magnitudes.sum(1)
    share = torch.where(unused, magnitudes, 0.0).sum(1) / total
    share = torch.where(unused.any(1) & total.isfinite(), share, torch.nan)
    reasons = [
        "every attribution is 0, or one is not finite" if some else "every feature is used"
        for some in unused.any(1).tolist()
    ]
    return Scores.of("share on dummies", Direction.LOWER, share, reasons)


def _given(dummies: Inputs, features: Features) -> Tensor:
    """(batch, count): features all of whose values are dummies."""
    for mask, part in zip(as_tuple(dummies), features.parts, strict=True):
        fits = mask.shape[1:] == part.shape[1:] and len(mask) in (1, len(part))
        if mask.dtype != torch.bool or not fits:
            raise MetricInputError(
                f"dummies has shape {tuple(mask.shape)} and dtype {mask.dtype}; expected bool "
                f"of shape {tuple(part.shape)}, or with 1 in place of the batch."
            )
    spread = tuple(
        (~mask).double().expand_as(part)
        for mask, part in zip(as_tuple(dummies), features.parts, strict=True)
    )
    return features.of(spread) == 0


class _Search:
    """Which features never move the output."""

    def __init__(self, values: Values, features: Features, draws: int, seed: Seed) -> None:
        if draws < 1:
            raise MetricInputError(f"draws is {draws}; expected 1 or more.")
        for part in features.parts:
            if not part.is_floating_point():
                raise MetricInputError(
                    f"An input has dtype {part.dtype}; expected a floating-point one, because "
                    "its values are replaced by any in their range. Pass dummies=…, or the "
                    "embeddings of tokens instead."
                )
        self.values, self.features, self.draws = values, features, draws
        generator = generator_of(seed)
        size = features.values.shape[1]
        shape = (2, draws, size)
        drawn = torch.rand(*shape, generator=generator)
        self.drawn = drawn.to(features.values)
        # feature by feature: more of them in another example's mask leave these as they are
        half = torch.rand(features.count, draws, generator=generator).T
        self.context = (half < 0.5).to(features.values.device)
        self.context[0] = False

    def unused(self) -> Tensor:
        """(batch, count) bool"""
        found = torch.ones(
            self.values.batch,
            self.features.count,
            dtype=torch.bool,
            device=self.features.values.device,
        )
        for draw in range(self.draws):
            found &= self._unmoved(draw)
        return found

    def _unmoved(self, draw: int) -> Tensor:
        """(batch, count): features whose replacement leaves the output of this context."""
        contexts = self._contexts(draw)
        before = self.values.of(contexts.parts)[:, None]
        replacements = contexts.shaped(self._replacements(1, draw))
        count = contexts.count
        rows = torch.arange(self.values.batch * count, device=before.device)
        after = torch.cat(
            [
                self._replaced(contexts, replacements, chunk // count, chunk % count)
                for chunk in rows.split(self.values.batch_size)
            ]
        ).reshape(-1, count)
        return (after - before).abs() <= self.values.rounding[:, None]

    def _contexts(self, draw: int) -> Features:
        features = self.features
        every = torch.arange(self.values.batch, device=features.values.device)
        removed = self.context[draw].expand(len(every), -1)
        replacements = features.shaped(self._replacements(0, draw))
        return self._like(features.replaced(every, removed, replacements))

    def _like(self, parts: tuple[Tensor, ...]) -> Features:
        """Other inputs with the same features."""
        features = Features(parts)
        features.numbers, features.count = self.features.numbers, self.features.count
        return features

    def _replacements(self, which: int, draw: int) -> Tensor:
        """(batch, size): uniform over each example's range, thrice as wide."""
        values = flattened(self.features.parts)
        low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
        width = torch.where(high > low, high - low, torch.where(high == 0, 1.0, high.abs()))
        return low - width + self.drawn[which, draw] * (high - low + 2 * width)

    def _replaced(
        self, contexts: Features, replacements: tuple[Tensor, ...], examples: Tensor, at: Tensor
    ) -> Tensor:
        removed = torch.nn.functional.one_hot(at, contexts.count).bool()
        return self.values(contexts.replaced(examples, removed, replacements), examples)
