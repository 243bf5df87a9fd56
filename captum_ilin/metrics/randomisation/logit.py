"""The random logit test (Sixt et al. 2020): is another output explained differently?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.features import as_tuple, batch_of
from captum_ilin.metrics.randomisation.data import averaged
from captum_ilin.metrics.randomisation.entries import Entries
from captum_ilin.metrics.randomisation.similarity import chosen
from captum_ilin.metrics.values import Values
from captum_ilin.targets import select, target_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.randomisation.similarity import Similarity
    from captum_ilin.metrics.scores import Scores

__all__ = ["random_logit"]


def random_logit(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any,
    draws: int = 1,
    similarities: Sequence[str] = ("spearman", "abs_spearman"),
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    batch_size: int = 32,
    seed: Seed = 0,
) -> dict[str, Scores]:
    """Similarity of the attributions of the target and of other outputs.

    1/N Σⱼ sim(φ(F_t, x), φ(F_{t'ⱼ}, x)), with the N = ``draws`` outputs t' ≠ t drawn without
    repetition. They lie at the same distances from every example's target.

    Args:
        method: network → explainer, such as a Captum class.
        forward_func: (batch, \\*features) → (batch, classes), two classes or more.
        inputs: (batch, \\*features), or a tuple of such tensors.
        target: one index for all, or one for each example.
        draws: from 1 to classes − 1.
        similarities: of "spearman", "abs_spearman", "ssim", "hog".
        attribute_kwargs, additional_forward_args: handed on.
        batch_size: examples explained at once.
        seed: of the outputs drawn.

    Returns:
        Scores by similarity, descriptive: two classes may rest on the same evidence, so that
        low is not simply better.

    Raises:
        MetricInputError: outputs that are not (batch, classes), or too many draws.
        MissingTargetError, TargetRangeError, TargetError: the target does not fit.

    Cost: 1 + draws attributions of each example, and two forward rows.

    Sixt et al. 2020, arXiv:1912.09818, section 4.

    >>> import torch
    >>> from captum.attr import Saliency
    >>> from captum_ilin.metrics import random_logit
    >>> model = torch.nn.Linear(9, 3)
    >>> found = random_logit(Saliency, model, torch.rand(3, 9), target=0, draws=2)
    >>> found["spearman"].values.shape
    torch.Size([3])
    """
    used = chosen(similarities)
    batch = batch_of(inputs)
    examples = Examples(inputs, None, additional_forward_args, attribute_kwargs or {})
    classes = _classes(forward_func, examples)
    select(torch.empty(batch, classes), target)  # raises where the target does not fit
    indices = torch.tensor([row[0] for row in target_rows(target, batch)])
    examples = replace(examples, target=indices % classes)
    if not 1 <= draws < classes:
        raise MetricInputError(
            f"draws: expected 1 to {classes - 1}, the outputs besides the target, got {draws}."
        )
    order = torch.randperm(classes - 1, generator=generator_of(seed))
    distances = (1 + order[:draws]).tolist()
    found = [
        _compared(method, forward_func, chunk, used, distances, classes)
        for chunk in examples.chunks(batch_size)
    ]
    return averaged("random_logit", found)


def _classes(forward_func: Callable[..., Any], examples: Examples) -> int:
    few = torch.arange(min(2, len(examples)))  # batch norm in training mode asks for two
    first = examples.take(few)
    values = Values(forward_func, len(few), None, first.additional_forward_args)
    outputs = values.outputs(as_tuple(first.inputs), few)
    if outputs.dim() != 2 or outputs.shape[1] < 2:
        raise MetricInputError(
            "random_logit: expected outputs of shape (batch, classes) with two classes or "
            f"more, got {tuple(outputs.shape)}."
        )
    return outputs.shape[1]


def _compared(
    method: Method,
    forward_func: Callable[..., Any],
    examples: Examples,
    similarities: Sequence[Similarity],
    distances: Sequence[int],
    classes: int,
) -> dict[str, Entries]:
    """Values (draws, examples), by similarity."""
    own = examples.attributions(method, forward_func, 0)
    others = [
        replace(examples, target=(examples.target + distance) % classes).attributions(
            method, forward_func, distance
        )
        for distance in distances
    ]
    found = {}
    for one in similarities:
        prepared = one.prepare(own)
        found[one.name] = Entries.stacked([one(prepared, one.prepare(o)) for o in others])
    return found
