"""Completeness: whether attributions add up to what they are said to explain.

declared:  |Σ_i φ_i + φ0 − F(x)|         φ0: what the method itself says it leaves out
baseline:  |Σ_i φ_i − (F(x) − F(x'))|    x': a baseline anyone may choose
bias:      |b| / |F(x)|                  the part that no feature is given
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.metrics.baselines import baselines_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import Features, as_tuple
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.baselines import Baselines
    from captum_ilin.metrics.features import Inputs

__all__ = ["baseline_completeness", "bias_share", "declared_completeness"]

_ZERO = "F(x) is 0, so nothing is relative to it"
_NOT_FINITE = "an attribution, the offset or the output is not finite"


def declared_completeness(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    offset: Tensor | float,
    target: Any = None,
    additional_forward_args: Any = None,
    relative: bool = False,
    batch_size: int = 64,
) -> Scores:
    """How far attributions, with the offset their method declares, are from the output.

    |Σ_i φ_i + φ0 − F(x)|, over |F(x)| if relative. Each method is held to its own claim: φ0
    is F(x') for Integrated Gradients, DeepLIFT and GradientShap, the bias that the ledger
    adds up for ILIN, and 0 for InputXGradient and LRP.

    Args:
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        offset: φ0, (batch,) or one number for all.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        relative: divide by |F(x)|.
        batch_size: rows that go through the network at once.

    Returns:
        Lower is better, from 0, in units of the output (without unit if relative); NaN where
        F(x) is 0 if relative, or where a number is not finite. Sums are in float64; the
        network's own rounding remains.

    Raises:
        MetricInputError: attributions or offset do not fit the inputs.

    Cost: one row forward for each example.

    Source: Sundararajan et al. 2017, arXiv 1703.01365, section 3 (completeness); as a sum
    with each method's own offset, *efficiency* of Lundberg and Lee 2017.

    >>> import torch
    >>> from captum.attr import InputXGradient
    >>> from captum_ilin.metrics import declared_completeness
    >>> layer = torch.nn.Linear(3, 2)
    >>> x = torch.ones(4, 3, requires_grad=True)
    >>> phi = InputXGradient(layer).attribute(x, target=0)
    >>> b = layer.bias[0].detach()
    >>> bool(declared_completeness(layer, x, phi, target=0, offset=b).mean() < 1e-6)
    True
    """
    parts = as_tuple(inputs)
    values = Values(forward_func, len(parts[0]), target, additional_forward_args, batch_size)
    output = values.of(parts)
    total = _sums(parts, attributions) + _offset_of(offset, output)
    return _differences("declared completeness", total, output, output, relative)


def baseline_completeness(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    attributions: Inputs,
    *,
    baselines: Baselines,
    target: Any = None,
    additional_forward_args: Any = None,
    relative: bool = False,
    batch_size: int = 64,
) -> Scores:
    """How far attributions are from the change of the output between baseline and input.

    |Σ_i φ_i − (F(x) − F(x'))|, over |F(x)| if relative. The same question to every method:
    one that claims a different sum (ILIN, InputXGradient) answers it where that sum happens
    to be near.

    Args:
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        attributions: shaped like the inputs.
        baselines: x': None (zero), a number, or a tensor shaped like the inputs (or with 1 in
            place of batch).
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        relative: divide by |F(x)|.
        batch_size: rows that go through the network at once.

    Returns:
        Lower is better, from 0, in units of the output (without unit if relative); NaN where
        F(x) is 0 if relative, or where a number is not finite.

    Raises:
        MetricInputError: attributions or baselines do not fit the inputs.

    Cost: two rows forward for each example.

    Source: Sundararajan et al. 2017, arXiv 1703.01365, proposition 1.

    >>> import torch
    >>> from captum.attr import IntegratedGradients
    >>> from captum_ilin.metrics import baseline_completeness
    >>> layer, x, zero = torch.nn.Linear(3, 2), torch.ones(4, 3), torch.zeros(1, 3)
    >>> phi = IntegratedGradients(layer).attribute(x, zero, target=0)
    >>> scores = baseline_completeness(layer, x, phi, target=0, baselines=zero)
    >>> bool(scores.mean() < 1e-6)
    True
    """
    parts = as_tuple(inputs)
    values = Values(forward_func, len(parts[0]), target, additional_forward_args, batch_size)
    output = values.of(parts)
    found = baselines_of(parts, baselines)
    change = output - values.of(
        tuple(base.expand(len(output), *base.shape[1:]) for base in found)
    )
    return _differences(
        "baseline completeness", _sums(parts, attributions), change, output, relative
    )


def bias_share(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    bias: Tensor | float,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    batch_size: int = 64,
) -> Scores:
    """How much of the output, by magnitude, is the bias, which no feature is given.

    |b| / |F(x)|. Above 1 where contributions and bias cancel.

    Args:
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        bias: b, (batch,) or one number for all, such as ``AffineMap.bias(target)``.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        batch_size: rows that go through the network at once.

    Returns:
        Descriptive, from 0; NaN where F(x) is 0 or a number is not finite.

    Raises:
        MetricInputError: the bias does not fit the inputs.

    Cost: one row forward for each example.

    Source: F(x) = W x + b of Li et al. 2023, arXiv 2310.16295.

    >>> import torch
    >>> from captum_ilin.metrics import bias_share
    >>> bias_share(lambda x: x.sum(1) + 1.0, torch.tensor([[1.0, 2.0]]), 1.0).values
    tensor([0.2500], dtype=torch.float64)
    """
    parts = as_tuple(inputs)
    values = Values(forward_func, len(parts[0]), target, additional_forward_args, batch_size)
    output = values.of(parts)
    return _relative(
        "bias share", Direction.DESCRIPTIVE, _offset_of(bias, output).abs(), output
    )


def _sums(parts: tuple[Tensor, ...], attributions: Inputs) -> Tensor:
    """(batch,) Σ_i φ_i."""
    return Features(parts).of(attributions).sum(1)


def _offset_of(offset: Tensor | float, output: Tensor) -> Tensor:
    found = torch.as_tensor(offset).detach().to(output)
    if found.dim() and found.shape != output.shape:
        raise MetricInputError(
            f"The offset has shape {tuple(found.shape)}; expected one number, or one for each "
            f"example, {tuple(output.shape)}."
        )
    return found.expand_as(output)


def _differences(
    name: str, total: Tensor, expected: Tensor, output: Tensor, relative: bool
) -> Scores:
    error = (total - expected).abs()
    if relative:
        return _relative(f"relative {name}", Direction.LOWER, error, output)
    return Scores.of(name, Direction.LOWER, _finite(error), _NOT_FINITE)


def _relative(name: str, direction: Direction, part: Tensor, output: Tensor) -> Scores:
    """|part| / |F(x)|."""
    zero = output == 0
    share = _finite(part / output.abs())
    reasons = [_ZERO if is_zero else _NOT_FINITE for is_zero in zero.tolist()]
    return Scores.of(name, direction, share, reasons)


def _finite(values: Tensor) -> Tensor:
    return torch.where(values.isfinite(), values, torch.nan)
