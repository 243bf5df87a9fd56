"""Areas under perturbation curves: deletion, insertion, MoRF, LeRF, selectivity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from captum_ilin.metrics.faithfulness.flipping import perturbation_curve
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.features import Inputs

__all__ = ["CurveOptions", "deletion", "insertion", "lerf", "morf", "selectivity"]


class CurveOptions(TypedDict, total=False):
    """Keyword arguments of ``perturbation_curve`` that its areas take too.

    All but order and start, which make a curve what it is, and with the same defaults.

    >>> from captum_ilin.metrics import CurveOptions
    >>> sorted(CurveOptions.__annotations__)[:3]
    ['additional_forward_args', 'baselines', 'batch_size']
    """

    target: Any
    additional_forward_args: Any
    baselines: Baselines
    feature_mask: Inputs | None
    steps: int
    softmax: bool
    relative: bool
    batch_size: int
    seed: Seed


def deletion(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    **options: Unpack[CurveOptions],
) -> Scores:
    """Area under the output while the most relevant features are removed first.

    ∫ F(x with the fraction s of most relevant features at x') ds, s from 0 to 1, by the
    trapezoid rule; both end points count. In the units of the output: lower is better. RISE
    takes probabilities (``softmax=True``); here logits are the default.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        options: see ``perturbation_curve``: target, additional_forward_args, baselines (zero),
            feature_mask, steps (50), softmax, relative, batch_size, seed.

    Returns:
        One area for each example.

    Cost: steps + 1 forward rows for each example.

    Source: Petsiuk et al., "RISE", 2018, section 4.1.

    >>> import torch
    >>> from captum_ilin.metrics import deletion
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> deletion(lambda x: x.sum(1), x, attributions=x)  # 6, 3, 1, 0
    Scores(deletion ↓: mean 2.333, median 2.333, n 1, NaN 0)
    """
    curve = perturbation_curve(forward_func, inputs, attributions, **options)
    return curve.scores("deletion", Direction.LOWER)


def insertion(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    **options: Unpack[CurveOptions],
) -> Scores:
    """Area under the output while the most relevant features are put into the baseline first.

    ∫ F(x' with the fraction s of most relevant features from x) ds, s from 0 to 1, by the
    trapezoid rule; both end points count. In the units of the output: higher is better.
    RISE starts from a blurred image (pass it as ``baselines``) and takes probabilities
    (``softmax=True``); here zero and logits are the defaults. Where no attributions tie and
    steps divides the number of features it is the LeRF curve read backwards, so with the
    same baseline the two areas are one number.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        options: see ``perturbation_curve``: target, additional_forward_args, baselines (zero),
            feature_mask, steps (50), softmax, relative, batch_size, seed.

    Returns:
        One area for each example.

    Cost: steps + 1 forward rows for each example.

    Source: Petsiuk et al., "RISE", 2018, section 4.1.

    >>> import torch
    >>> from captum_ilin.metrics import insertion
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> insertion(lambda x: x.sum(1), x, attributions=x)  # 0, 3, 5, 6
    Scores(insertion ↑: mean 3.667, median 3.667, n 1, NaN 0)
    """
    curve = perturbation_curve(forward_func, inputs, attributions, start="baseline", **options)
    return curve.scores("insertion", Direction.HIGHER)


def morf(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    **options: Unpack[CurveOptions],
) -> Scores:
    """Area of pixel flipping, the most relevant features first.

    The same number as ``deletion``, under the name that has ``lerf`` for its other half; other
    names: MIF (most influential first) and, with F(x) minus the curve, AOPC. In the units of
    the output: lower is better.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        options: see ``perturbation_curve``: target, additional_forward_args, baselines (zero),
            feature_mask, steps (50), softmax, relative, batch_size, seed.

    Returns:
        One area for each example.

    Cost: steps + 1 forward rows for each example.

    Source: Samek et al., "Evaluating the visualization of what a deep neural network has
    learned", 2017; Blücher et al., "Decoupling pixel flipping and occlusion strategy", 2024.

    >>> import torch
    >>> from captum_ilin.metrics import morf
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> morf(lambda x: x.sum(1), x, attributions=x)
    Scores(morf ↓: mean 2.333, median 2.333, n 1, NaN 0)
    """
    curve = perturbation_curve(forward_func, inputs, attributions, **options)
    return curve.scores("morf", Direction.LOWER)


def lerf(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    **options: Unpack[CurveOptions],
) -> Scores:
    """Area of pixel flipping, the least relevant features first.

    A ranking of its own, from the lowest attribution (the most negative) up. Other name: LIF
    (least influential first). In the units of the output: higher is better.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        options: see ``perturbation_curve``: target, additional_forward_args, baselines (zero),
            feature_mask, steps (50), softmax, relative, batch_size, seed.

    Returns:
        One area for each example.

    Cost: steps + 1 forward rows for each example.

    Source: Samek et al., "Evaluating the visualization of what a deep neural network has
    learned", 2017; Blücher et al., "Decoupling pixel flipping and occlusion strategy", 2024.

    >>> import torch
    >>> from captum_ilin.metrics import lerf
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> lerf(lambda x: x.sum(1), x, attributions=x)  # 6, 5, 3, 0
    Scores(lerf ↑: mean 3.667, median 3.667, n 1, NaN 0)
    """
    curve = perturbation_curve(forward_func, inputs, attributions, order="lerf", **options)
    return curve.scores("lerf", Direction.HIGHER)


def selectivity(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    **options: Unpack[CurveOptions],
) -> Scores:
    """How fast the output falls while the most relevant features are removed, without the end.

    As Montavon et al. record it: the output before each removal, so F(x) counts and the output
    with nothing left, which is the same for every ranking, does not. The area by the trapezoid
    rule over the recorded points, divided by their width: in the units of the output, lower is
    better. The ranking is that of the whole input and stays.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        options: see ``perturbation_curve``: target, additional_forward_args, baselines (zero),
            feature_mask (regions, as in the paper), steps (50), softmax, relative, batch_size,
            seed.

    Returns:
        One area for each example; NaN where there is one step only.

    Cost: steps + 1 forward rows for each example.

    Source: Montavon, Samek and Müller, "Methods for interpreting and understanding deep
    neural networks", 2018, explanation selectivity.

    >>> import torch
    >>> from captum_ilin.metrics import selectivity
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> selectivity(lambda x: x.sum(1), x, attributions=x)  # 6, 3, 1
    Scores(selectivity ↓: mean 3.25, median 3.25, n 1, NaN 0)
    """
    curve = perturbation_curve(forward_func, inputs, attributions, **options)
    reasons = [reason or "There is one step only." for reason in curve.reasons]
    return Scores.of("selectivity", Direction.LOWER, curve.area_before_the_end(), reasons)
