"""Gradients of outputs with respect to inputs, with errors a user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.casting import NO_AUTOCAST
from captum_ilin.checks import check_finite, input_name
from captum_ilin.errors import NotOfferedError, UnusedInputError, saying_what_has_no_derivative
from captum_ilin.modes import gradients_on
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["input_gradients", "plain_forward", "slopes", "weights_of"]


def input_gradients(
    outputs: Tensor,
    leaves: tuple[Tensor, ...],
    *,
    forward_func: Callable[..., Any],
    constants: tuple[Any, ...],
    retain_graph: bool,
) -> tuple[Tensor, ...]:
    """W for the sum of ``outputs``: one vector-Jacobian product.

    An input that only sets gates, which are held, has weight 0; one that the output does
    not depend on is an error.
    """
    gradients = slopes(outputs, leaves, retain_graph)
    if any(gradient is None for gradient in gradients):
        _check_used(gradients, forward_func, leaves, constants)
    return weights_of(gradients, leaves)


def weights_of(
    slopes: tuple[Tensor | None, ...], leaves: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """W from slopes: 0 for a leaf that does not reach the output, and finite throughout."""
    weights = tuple(
        torch.zeros_like(leaf) if slope is None else slope
        for slope, leaf in zip(slopes, leaves, strict=True)
    )
    for weight in weights:
        check_finite(weight, "The weight W")
    return weights


def slopes(
    outputs: Tensor, leaves: tuple[Tensor, ...], retain_graph: bool
) -> tuple[Tensor | None, ...]:
    """The gradient of the sum of ``outputs``; None where a leaf does not reach it."""
    if not outputs.requires_grad:
        return (None,) * len(leaves)
    if outputs.is_complex():
        raise NotOfferedError(
            f"The output is {outputs.dtype}, and a complex output has no real W. Explain "
            "numbers that are real: `lambda x: torch.view_as_real(model(x))`, or its "
            "magnitude, `lambda x: model(x).abs()`."
        )
    with NO_AUTOCAST.restored(), saying_what_has_no_derivative():
        return torch.autograd.grad(
            outputs.sum(), leaves, retain_graph=retain_graph, allow_unused=True
        )


def _check_used(
    gradients: tuple[Tensor | None, ...],
    forward_func: Callable[..., Any],
    leaves: tuple[Tensor, ...],
    constants: tuple[Any, ...],
) -> None:
    """Raise unless the plain network depends on every input that has no weight."""
    outputs = plain_forward(forward_func, leaves, constants)
    plain = slopes(outputs, leaves, retain_graph=False)
    for position, (gradient, slope) in enumerate(zip(gradients, plain, strict=True)):
        if gradient is None and slope is None:
            raise UnusedInputError(
                f"The output does not depend on {input_name(position, leaves)} (shape "
                f"{tuple(leaves[position].shape)}) through any differentiable path: it is "
                "ignored, detached, computed under no_grad or inference_mode (perhaps by a "
                "decorator), or turned into integers. Leave it out of the inputs, or pass it "
                "in additional_forward_args."
            )


def plain_forward(
    forward_func: Callable[..., Any], leaves: tuple[Tensor, ...], constants: tuple[Any, ...]
) -> Tensor:
    """F at the operating point, unfrozen, with gradients on so that no fused path is taken.

    With gradients off where PyTorch takes none, as of ``out=`` or beside inference tensors.
    """
    with gradients_on(), buffers_kept(forward_func):
        points = [leaf.clone() for leaf in leaves]
        try:
            outputs: Tensor = forward_func(*points, *constants)
        except RuntimeError as error:
            if not _has_no_derivative(error):
                raise
            with torch.no_grad():
                outputs = forward_func(*(leaf.clone() for leaf in leaves), *constants)
    return outputs


def _has_no_derivative(error: RuntimeError) -> bool:
    said = (
        "don't support automatic differentiation",
        "derivative for",
        "Inference tensors cannot be saved for backward",
    )
    return any(words in str(error) for words in said)
