"""Smooth MPRT (Hedström et al. 2024): attributions averaged over noisy inputs first.

The noise of a gradient is taken out before maps are compared, so that a similarity falls for
what the layers forgot and not for shattered gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.features import as_tuple
from captum_ilin.metrics.randomisation.mprt import mprt

if TYPE_CHECKING:
    from torch import nn

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.randomisation.cascade import Cascade

__all__ = ["smooth_mprt"]


def smooth_mprt(
    method: Method,
    model: nn.Module,
    inputs: Inputs,
    *,
    draws: int = 50,
    noise: float = 0.1,
    batch_size: int = 32,
    seed: Seed = 0,
    **arguments: Any,
) -> Cascade:
    """`mprt` of the method's attributions averaged over noisy copies of the inputs.

    φ̄(x) = 1/N Σᵢ φ(x + ηᵢ), ηᵢ ~ N(0, (noise · (max x − min x))²), with the same η for
    every example and every network.

    Args:
        method, model, inputs: as `mprt`.
        draws: N.
        noise: the noise's deviation, as a part of each input's range.
        batch_size: noisy rows explained at once.
        seed: of the noise and of all that `mprt` draws.
        arguments: the others of `mprt`.

    Returns:
        As `mprt`, descriptive.

    Raises:
        MetricInputError: as `mprt`; or fewer than one draw, or negative noise.

    Cost: ``draws`` times `mprt`'s.

    Hedström et al. 2024, arXiv:2401.06465, section 4.1.

    >>> import torch
    >>> from torch import nn
    >>> from captum.attr import Saliency
    >>> from captum_ilin.metrics import smooth_mprt
    >>> model = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2))
    >>> cascade = smooth_mprt(Saliency, model, torch.rand(2, 9), target=0, draws=4, seeds=2)
    >>> cascade.similarities["abs_spearman"].values.shape
    torch.Size([2, 2, 2])
    """
    if draws < 1 or noise < 0:
        raise MetricInputError(
            f"smooth_mprt: expected draws ≥ 1 and noise ≥ 0, got {draws} and {noise}."
        )
    generator = generator_of(seed)
    unit = tuple(
        torch.randn(draws, *part.shape[1:], generator=generator) for part in as_tuple(inputs)
    )

    def smoothed(forward_func: Any) -> _Smoothed:
        return _Smoothed(method, forward_func, unit, noise, batch_size)

    return mprt(smoothed, model, inputs, batch_size=batch_size, seed=generator, **arguments)


@dataclass(frozen=True)
class _Smoothed:
    """An explainer: the method's attributions, averaged over noisy inputs."""

    method: Method
    forward_func: Any
    unit: tuple[Tensor, ...]
    noise: float
    batch_size: int

    def attribute(
        self,
        inputs: Inputs,
        target: Any = None,
        additional_forward_args: Any = None,
        **attribute_kwargs: Any,
    ) -> Inputs:
        examples = Examples(inputs, target, additional_forward_args, attribute_kwargs)
        parts = tuple(part.detach() for part in as_tuple(inputs))
        sums = [torch.zeros_like(part) for part in parts]
        batch, draws = len(examples), len(self.unit[0])
        for places in torch.arange(batch * draws).split(self.batch_size):
            rows = places // draws
            noisy = self._noisy(examples, rows, places % draws)
            for total, found in zip(sums, noisy, strict=True):
                total.index_add_(0, rows.to(total.device), found.to(total))
        means = tuple(total / draws for total in sums)
        return means if isinstance(inputs, tuple) else means[0]

    def _noisy(self, examples: Examples, rows: Tensor, draws: Tensor) -> tuple[Tensor, ...]:
        taken = examples.take(rows)
        noisy = tuple(
            part.detach() + self.noise * _range(part) * unit[draws].to(part)
            for part, unit in zip(as_tuple(taken.inputs), self.unit, strict=True)
        )
        single = not isinstance(taken.inputs, tuple)
        given = replace(taken, inputs=noisy[0] if single else noisy)
        return given.attributions(self.method, self.forward_func, torch.initial_seed())


def _range(part: Tensor) -> Tensor:
    """(rows, 1, …): each example's largest value less its smallest."""
    flat = part.detach().flatten(1)
    spread = flat.amax(1) - flat.amin(1)
    return spread.reshape(-1, *[1] * (part.dim() - 1))
