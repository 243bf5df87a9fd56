"""Data randomisation (Adebayo et al. 2018): against a twin that learned permuted labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.randomisation.entries import Entries
from captum_ilin.metrics.randomisation.similarity import chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.randomisation.similarity import Similarity
    from captum_ilin.metrics.scores import Scores

__all__ = ["averaged", "compared", "data_randomisation"]


def data_randomisation(
    method: Method,
    model: Callable[..., Any],
    twin: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    similarities: Sequence[str] = ("spearman", "abs_spearman"),
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, Scores]:
    """Similarity of the attributions of a network and of its twin.

    sim(φ(F, x), φ(F', x)), with F' of F's architecture but trained on permuted labels (to
    more than 95 % of them: an untrained twin tests something else).

    Args:
        method: network → explainer, such as a Captum class.
        model, twin: (batch, \\*features) → outputs.
        inputs: (batch, \\*features), or a tuple of such tensors.
        target: any of Captum's target forms, the same for both.
        similarities: of "spearman", "abs_spearman", "ssim", "hog".
        attribute_kwargs, additional_forward_args: handed on.
        batch_size: examples explained at once.
        seed: of the method's own draws.

    Returns:
        Scores by similarity, descriptive: there is no null to a single twin.

    Raises:
        MetricInputError: an unknown similarity.

    Cost: two attributions of each example.

    Adebayo et al. 2018, arXiv:1810.03292, section 4.2.

    >>> import torch
    >>> from captum.attr import Saliency
    >>> from captum_ilin.metrics import data_randomisation
    >>> model, twin = torch.nn.Linear(9, 2), torch.nn.Linear(9, 2)
    >>> found = data_randomisation(Saliency, model, twin, torch.rand(3, 9), target=0)
    >>> sorted(found)
    ['abs_spearman', 'spearman']
    """
    used = chosen(similarities)
    examples = Examples(inputs, target, additional_forward_args, attribute_kwargs or {})
    found = [
        compared(
            used,
            chunk.attributions(method, model, seed),
            chunk.attributions(method, twin, seed + 1),
        )
        for chunk in examples.chunks(batch_size)
    ]
    return averaged("data_randomisation", found)


def compared(similarities: Iterable[Similarity], first: Any, second: Any) -> dict[str, Entries]:
    """Values (1, examples) of two maps' similarities, by name."""
    return {
        one.name: Entries.stacked([one(one.prepare(first), one.prepare(second))])
        for one in similarities
    }


def averaged(metric: str, chunks: Sequence[Mapping[str, Entries]]) -> dict[str, Scores]:
    """Successive examples' values as scores, by similarity."""
    return {
        name: Entries.joined([chunk[name] for chunk in chunks]).averaged(f"{metric}_{name}")
        for name in chunks[0]
    }
