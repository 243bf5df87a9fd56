"""``perturbation_curve``: one engine for deletion, insertion, MoRF, LeRF and selectivity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from captum_ilin.metrics.baselines import baselines_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.faithfulness.curve import Curve, Order, Start
from captum_ilin.metrics.faithfulness.ranking import ranks_of
from captum_ilin.metrics.features import Features
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.features import Inputs

__all__ = ["perturbation_curve"]


def perturbation_curve(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    baselines: Baselines = None,
    feature_mask: Inputs | None = None,
    order: Order = "morf",
    start: Start = "inputs",
    steps: int = 50,
    softmax: bool = False,
    relative: bool = False,
    batch_size: int = 64,
    seed: Seed = 0,
) -> Curve:
    """The output while features are removed (or put in) in the order of their attribution.

    After step k of N, ⌊k n / N⌋ of an example's n features have been replaced by the baseline
    (with ``start="baseline"``: put in its place). Features rank by their attribution with its
    sign, the sum over their values; pass ``attributions.abs()`` to rank by size. Ties stand in
    a random order drawn from the seed, the same for every example. "lerf" is an ordering of
    its own, never one minus anything.

    The curve is of ``forward_func``'s own outputs, logits for most classifiers.

    Args:
        forward_func: (inputs…, \\*additional_forward_args) → (batch, \\*out).
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        target: any of Captum's target forms.
        additional_forward_args: further arguments; tensors with batch rows go by example.
        baselines: None (zero), a number, or a tensor shaped like the inputs (or with 1 in
            place of batch).
        feature_mask: integers shaped like the inputs (or with 1 in place of batch): values
            with the same number go together, such as the channels of a pixel. Default: every
            value goes alone.
        order: "morf", the most relevant features first, or "lerf", the least relevant first.
        start: "inputs" removes features, "baseline" puts them in.
        steps: at most; never more than there are features.
        softmax: take the softmax of outputs (batch, classes): probabilities.
        relative: rescale each curve so that F(x) is 1 and F(x') is 0.
        batch_size: rows that go through the network at once.
        seed: of the order of ties, an int or a torch.Generator.

    Returns:
        Values and fractions of steps + 1 points for each example. NaN where attributions or
        outputs are not finite, and with ``relative`` where F(x) = F(x').

    Raises:
        MetricInputError: an unknown order or start, no steps, or shapes that do not fit.

    Cost: steps + 1 forward rows for each example.

    Source: Samek et al., "Evaluating the visualization of what a deep neural network has
    learned", 2017; Petsiuk et al., "RISE", 2018, section 4.1.

    >>> import torch
    >>> from captum_ilin.metrics import perturbation_curve
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> curve = perturbation_curve(lambda x: x.sum(1), x, attributions=x, order="lerf")
    >>> curve.values
    tensor([[6., 5., 3., 0.]], dtype=torch.float64)
    """
    _check(order, start, steps)
    features = Features(inputs, feature_mask)
    scores = features.of(attributions)
    base = baselines_of(inputs, baselines)
    explained = _probabilities(forward_func) if softmax else forward_func
    values = Values(explained, len(scores), target, additional_forward_args, batch_size)
    counts = features.present().sum(1, keepdim=True)
    steps = min(steps, int(counts.max()))
    changed = torch.arange(steps + 1, device=counts.device) * counts // steps
    ranks = ranks_of(features, scores, order, seed)
    outputs = _outputs(values, features, base, ranks, changed, start)
    reasons = _reasons(scores, outputs)
    outputs[[reason is not None for reason in reasons]] = torch.nan
    fractions = (changed.double() / counts).cpu()
    curve = Curve(outputs, fractions, order, start, reasons, values.rounding.cpu())
    return curve.relative() if relative else curve


def _check(order: str, start: str, steps: int) -> None:
    if order not in get_args(Order):
        raise MetricInputError(
            f"order is {order!r}; expected 'morf' (most relevant features first) or 'lerf' "
            "(least relevant first)."
        )
    if start not in get_args(Start):
        raise MetricInputError(
            f"start is {start!r}; expected 'inputs' (features are removed) or 'baseline' "
            "(features are put in)."
        )
    if steps < 1:
        raise MetricInputError(f"steps is {steps}; expected 1 or more.")


def _probabilities(forward_func: Callable[..., Any]) -> Callable[..., Tensor]:
    def forward(*arguments: Any) -> Tensor:
        outputs = forward_func(*arguments)
        if not isinstance(outputs, Tensor) or outputs.dim() != 2:
            raise MetricInputError(
                "softmax=True needs an output for each class, (batch, classes), but "
                f"forward_func returned {getattr(outputs, 'shape', type(outputs).__name__)}. "
                "Leave softmax out, and take it in forward_func."
            )
        return outputs.double().softmax(1)

    return forward


def _outputs(
    values: Values,
    features: Features,
    base: tuple[Tensor, ...],
    ranks: Tensor,
    changed: Tensor,
    start: Start,
) -> Tensor:
    """(batch, points): chunk by chunk, because all perturbed inputs at once would be large."""
    batch, points = changed.shape
    rows = torch.arange(batch * points, device=changed.device)
    found = []
    for chunk in rows.split(values.batch_size):
        examples = chunk // points
        done = ranks[examples] < changed[examples, chunk % points, None]
        removed = done if start == "inputs" else ~done
        found.append(values(features.replaced(examples, removed, base), examples))
    return torch.cat(found).reshape(batch, points).cpu()


def _reasons(scores: Tensor, outputs: Tensor) -> tuple[str | None, ...]:
    attributed = scores.isfinite().all(1).tolist()
    answered = outputs.isfinite().all(1).tolist()
    return tuple(
        "An attribution is not finite."
        if not ranked
        else None
        if finite
        else "An output is not finite."
        for ranked, finite in zip(attributed, answered, strict=True)
    )
