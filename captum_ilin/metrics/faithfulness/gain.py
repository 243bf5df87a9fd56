"""``srg``, the symmetric relevance gain: pixel flipping from both ends, several baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.faithfulness.areas import lerf, morf
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.faithfulness.areas import CurveOptions
    from captum_ilin.metrics.features import Inputs

__all__ = ["srg"]


def srg(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    baselines: Mapping[str, Baselines] | Sequence[Baselines],
    target: Any = None,
    additional_forward_args: Any = None,
    feature_mask: Inputs | None = None,
    steps: int = 50,
    softmax: bool = False,
    relative: bool = False,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Scores:
    """Symmetric relevance gain: LIF − MIF, averaged over baselines.

    1/B Σ_b [lerf_b − morf_b], the areas of pixel flipping with the least and with the most
    influential features first. What one baseline does to the output enters both areas, so that
    rankings of methods depend less on it; still, one baseline is one occlusion strategy, so at
    least two are asked for. In the units of the output (of no unit with ``relative``): higher
    is better, and 0 for attributions that all tie.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        baselines: two or more, in a list or by name, each None (zero), a number, or a tensor
            shaped like the inputs (or with 1 in place of batch). Take one that is not
            constant, such as a blurred input.
        target, additional_forward_args, feature_mask, steps, softmax, relative, batch_size:
            see ``perturbation_curve``.
        seed: of the order of ties, an int or a torch.Generator; the same order in all curves.

    Returns:
        One gain for each example; NaN where one of its curves is.

    Raises:
        MetricInputError: fewer than two baselines, or what ``perturbation_curve`` raises.

    Cost: 2 B (steps + 1) forward rows for each example.

    Source: Blücher, Vielhaben and Strodthoff, "Decoupling pixel flipping and occlusion
    strategy for consistent XAI benchmarks", 2024.

    >>> import torch
    >>> from captum_ilin.metrics import srg
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> srg(lambda x: x.sum(1), x, attributions=x, baselines=[0.0, 2.0])
    Scores(srg ↑: mean 1.333, median 1.333, n 1, NaN 0)
    """
    options: CurveOptions = {
        "target": target,
        "additional_forward_args": additional_forward_args,
        "feature_mask": feature_mask,
        "steps": steps,
        "softmax": softmax,
        "relative": relative,
        "batch_size": batch_size,
        "seed": int(torch.randint(2**62, (), generator=generator_of(seed))),
    }
    gains: list[Tensor] = []
    reasons: list[tuple[str | None, ...]] = []
    for base in _several(baselines):
        options["baselines"] = base
        least = lerf(forward_func, inputs, attributions, **options)
        most = morf(forward_func, inputs, attributions, **options)
        gains.append(least.values - most.values)
        reasons += [least.reasons, most.reasons]
    missing = [next(filter(None, found), None) for found in zip(*reasons, strict=True)]
    return Scores.of("srg", Direction.HIGHER, torch.stack(gains).mean(0), missing)


def _several(baselines: Mapping[str, Baselines] | Sequence[Baselines]) -> list[Baselines]:
    given = list(baselines.values() if isinstance(baselines, Mapping) else baselines)
    if isinstance(baselines, Tensor) or len(given) < 2:
        raise MetricInputError(
            "srg needs two baselines or more, a list or a mapping by name, and got "
            f"{'a tensor' if isinstance(baselines, Tensor) else len(given)}: with one "
            "baseline its value is that of one occlusion strategy. Pass for example "
            "baselines=[0.0, blurred]."
        )
    return given
