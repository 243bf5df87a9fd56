"""Calling a Captum method: what is taken for one, and how its attributions are read.

A *method* is anything that makes an explainer from a forward function: a Captum class
(``Saliency``), ``functools.partial(ILIN, rules=…)``, or a function of your own. An *explainer*
has ``attribute(inputs, target=…)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from torch import Tensor

from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import as_tuple, batch_of
from captum_ilin.metrics.training import warn_of_training
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics.features import Inputs

__all__ = ["Explainer", "Method", "attributions_of", "multiplies_by_inputs"]


class Explainer(Protocol):
    """What Captum's attribution classes offer."""

    def attribute(self, inputs: Any, *, target: Any = None) -> Any:
        """Attributions shaped like the inputs."""


if TYPE_CHECKING:
    Method: TypeAlias = Callable[[Any], Any]
else:
    Method = object


def attributions_of(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
) -> tuple[Tensor, ...]:
    """Attributions of ``method(forward_func)``, without a graph, as a tuple.

    The method gets leaves of its own, so the caller's tensors keep ``requires_grad`` and
    ``grad``; a network in training mode keeps its buffers.

    Args:
        method: forward function → explainer.
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        target: any of Captum's target forms.
        additional_forward_args: handed on when not None.
        attribute_kwargs: further arguments of ``attribute``.

    Raises:
        MetricInputError: there is not one attribution for each input, of its shape.

    >>> import torch
    >>> from captum.attr import InputXGradient
    >>> from captum_ilin.metrics import attributions_of
    >>> attributions_of(InputXGradient, lambda x: 3 * x.sum(1), torch.ones(1, 2))
    (tensor([[3., 3.]]),)
    """
    batch_of(inputs)
    leaves = tuple(map(_leaf, as_tuple(inputs)))
    extra = dict(attribute_kwargs or {})
    if additional_forward_args is not None:
        extra["additional_forward_args"] = additional_forward_args
    given = leaves if isinstance(inputs, tuple | list) else leaves[0]
    explainer = method(forward_func)
    warn_of_training(forward_func)
    with torch.enable_grad(), buffers_kept(forward_func):
        found = as_tuple(explainer.attribute(given, target=target, **extra))
    _check(type(explainer).__name__, leaves, found)
    return tuple(attribution.detach() for attribution in found)


def _leaf(part: Tensor) -> Tensor:
    return part.detach().clone().requires_grad_(part.is_floating_point())


def _check(name: str, leaves: tuple[Tensor, ...], found: tuple[Any, ...]) -> None:
    if len(found) != len(leaves) or not all(isinstance(one, Tensor) for one in found):
        raise MetricInputError(
            f"{name} gave {', '.join(type(one).__name__ for one in found)} for {len(leaves)} "
            f"inputs; expected an attribution for each and nothing else. Leave out what makes "
            "it return more, such as return_convergence_delta."
        )
    for part, attribution in zip(leaves, found, strict=True):
        if attribution.shape != part.shape:
            raise MetricInputError(
                f"{name} gave attributions of shape {tuple(attribution.shape)} for inputs of "
                f"shape {tuple(part.shape)}; the metrics compare them value by value, so the "
                "shapes must be the same."
            )


def multiplies_by_inputs(method: Method, forward_func: Callable[..., Any]) -> bool:
    """Whether attributions are contributions (W ∘ x) rather than slopes (W).

    Read from Captum's ``multiplies_by_inputs``.

    Raises:
        MetricInputError: the explainer does not say.
    """
    explainer = method(forward_func)
    flag = getattr(explainer, "multiplies_by_inputs", None)
    if not isinstance(flag, bool):
        raise MetricInputError(
            f"{type(explainer).__name__} does not say whether it multiplies by its inputs (it "
            "has no multiplies_by_inputs). Pass multiply_by_inputs=True for contributions, "
            "False for slopes."
        )
    return flag
