"""``expand``: run a network at patterns, all or some, and find its terms."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_ilin.companions.categorical.background import background_of
from captum_ilin.companions.categorical.enumeration import check_patterns, enumerated
from captum_ilin.companions.categorical.evaluator import Evaluator, batch_size_for
from captum_ilin.companions.categorical.expansion import Expansion
from captum_ilin.companions.categorical.sampling import LEAST, evaluations, sampled
from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.sideeffects import buffers_kept, modules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.enumeration import Found
    from captum_ilin.companions.categorical.groups import Groups
    from captum_ilin.companions.categorical.variance import Variance

__all__ = ["expand"]

MOST = 2**20  # patterns enumerated unless told


def expand(
    forward_func: Callable[..., Any],
    groups: Groups,
    *,
    order: int = 2,
    background: Background | Tensor | Sequence[Tensor] | None = None,
    layer: nn.Module | None = None,
    target: Any = None,
    class_gauge: bool = False,
    held: Tensor | None = None,
    samples: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    max_patterns: int = MOST,
    show_progress: bool = False,
) -> Expansion:
    """Expand a network of one-hot inputs into terms of 0, 1, 2, … positions.

    Args:
        forward_func: a module or function, (batch, \\*shape) → (batch, \\*out). It is run
            without gradients and as it is: put a module into evaluation mode.
        groups: the positions and their features, which may be some of the input's only.
        order (optional): the most positions of a term. By enumeration any, ``len(groups)`` for
            all of F; by sampling 0, 1 or 2. More than there are groups counts as all.
        background (optional): a `Background`, or probabilities as `Background.of` takes them.
            Default: None, uniform. With p_i(a) of its own, averages are weighted by it, and
            terms sum to zero with its weights: Σ_a p_i(a) h_i(a) = 0.
        layer (optional): expand this module's output instead.
        target (optional): an int or a tuple of ints, the same output of every pattern.
            Default: None, every output.
        class_gauge (optional): subtract the mean over the last dimension, the classes, first.
        held (optional): (1, \\*shape), an input whose features outside the groups are kept.
            Needed if there are such features. Its dtype and device are the patterns'; without
            it they are those of the first parameter of the modules that the function names, or
            torch's default.
        samples (optional): estimate from so many random backgrounds for each block of
            ``order`` positions, at least 4. Default: None, enumerate every pattern: exact.
        seed (optional): of the samples.
        batch_size (optional): patterns run together. Default: 8,192, or fewer that take 32 MiB.
        max_patterns (optional): the most patterns enumerated. Default: 2²⁰.
        show_progress (optional): a bar of tqdm.

    Returns:
        Expansion, float64 on the CPU.

    Raises:
        CompanionInputError: too many patterns to enumerate, a background that is no
            distribution, features outside the groups that nothing holds, outputs that depend
            on more than the pattern.

    Cost: forward passes: every pattern, or by sampling ``samples`` times the patterns of each
    block, Σ_{i<j} q_i q_j for order 2. Memory: by enumeration the table of outputs; by
    sampling the terms, a batch, and 32 replicates of each h_i.

    Standard errors are those of means of independent samples; with fewer than about 30
    samples, z-scores follow Student's t instead. They say nothing of terms of more than
    ``order`` positions, which are no error but left out.

    Source: Zamuner and De Los Rios 2021, arXiv 2102.03202.

    >>> import torch
    >>> from captum_ilin.companions.categorical import Groups, expand
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
    ... ).double()
    >>> groups = Groups.of_positions((4, 3), letters="HPC")
    >>> expansion = expand(model, groups, order=4, target=0)
    >>> expansion
    Expansion(order 4 of 4 groups, uniform background, exact)
    >>> x = groups.encode(torch.tensor([[0, 2, 1, 1]])).double()
    >>> torch.allclose(expansion(x), model(x)[:, 0])
    True
    >>> bool(expansion.field(0).sum().abs() < 1e-12)
    True
    """
    order = _checked_order(order, groups, samples)
    chosen = background_of(groups, background)
    evaluator = Evaluator(
        forward_func,
        groups,
        template := _held(forward_func, groups, held),
        layer,
        target,
        class_gauge,
        _batch_size(batch_size, template),
    )
    generator = torch.Generator().manual_seed(seed)
    if samples is None:
        check_patterns(groups, 1, max_patterns)
    with (
        buffers_kept(forward_func),
        tqdm(disable=not show_progress, unit="pattern", desc="Expanding") as progress,
    ):
        probed = evaluator.check_repeats(generator)
        if samples is None:
            check_patterns(groups, probed[0].numel(), max_patterns)
            progress.reset(groups.patterns)
            found = enumerated(evaluator, chosen, order, progress)
        else:
            progress.reset(evaluations(groups.counts, order, samples))
            found = sampled(evaluator, chosen, order, samples, generator, progress)
    return _expansion(found, groups, chosen, probed.shape[1:], samples)


def _batch_size(given: int | None, held: Tensor) -> int:
    if given is None:
        return batch_size_for(held)
    if given < 1:
        raise CompanionInputError(
            f"batch_size must be at least 1, but got {given}. Leave it out for a size that "
            "fits."
        )
    return given


def _expansion(
    found: Found, groups: Groups, background: Background, out: torch.Size, samples: int | None
) -> Expansion:
    """Give every term the outputs' own shape again."""

    def shaped(terms: dict[Any, Tensor]) -> dict[Any, Tensor]:
        return {key: term.reshape((*term.shape[:-1], *out)) for key, term in terms.items()}

    def or_none(found: dict[int, Tensor] | None) -> dict[int, Tensor] | None:
        return None if found is None else shaped(found)

    was: Variance = found.variance
    variance = replace(
        was,
        total=was.total.reshape(out),
        rest=was.rest.reshape(out),
        by_order=shaped(was.by_order),
        shares=shaped(was.shares),
        standard_errors=or_none(was.standard_errors),
        share_errors=or_none(was.share_errors),
        rest_error=None if was.rest_error is None else was.rest_error.reshape(out),
    )
    errors = None if found.standard_errors is None else shaped(found.standard_errors)
    return Expansion(
        groups, background, shaped(found.terms), errors, variance, samples, found.evaluations
    )


def _checked_order(order: int, groups: Groups, samples: int | None) -> int:
    if isinstance(order, bool) or not isinstance(order, Integral) or order < 0:
        raise CompanionInputError(
            f"order must be a number of positions, 0 or more, but got {order!r}."
        )
    if samples is None:
        return min(int(order), len(groups))
    if isinstance(samples, bool) or not isinstance(samples, Integral) or samples < LEAST:
        raise CompanionInputError(
            f"samples must be a number of at least {LEAST}, because standard errors are "
            f"measured between samples, but got {samples!r}. Leave it out to enumerate."
        )
    if order > 2:
        raise CompanionInputError(
            f"By sampling, order must be 0, 1 or 2, but got {order}. Enumerate for more: leave "
            "out samples, and expand fewer positions with Groups.only if they are too many."
        )
    return min(int(order), len(groups))


def _held(forward_func: Any, groups: Groups, held: Tensor | None) -> Tensor:
    """(1, \\*shape): the features outside the groups, dtype and device."""
    if held is not None:
        groups.check_shape(held, "held")
        if len(held) != 1 or not held.is_floating_point():
            raise CompanionInputError(
                f"held must be one example of floating-point features, but got "
                f"{len(held)} of {held.dtype}. Choose one: inputs[:1]."
            )
        return held.detach()
    if outside := groups.outside:
        raise CompanionInputError(
            f"{len(outside)} features of the input belong to no group, the first is "
            f"{outside[0]}, and the output may depend on them "
            "too. Pass held=, an input at whose "
            "values they are kept, or declare them as groups."
        )
    zeros = torch.zeros(1, *groups.shape)
    parameters = chain(*(module.parameters() for module in modules_of(forward_func)))
    first = next((one for one in parameters if one.is_floating_point()), zeros)
    return zeros.to(first.device, first.dtype)
