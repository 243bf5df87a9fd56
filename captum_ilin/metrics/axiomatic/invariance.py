"""Invariance: whether attributions depend on how a function is written, or on its origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_ilin.metrics.axiomatic.differences import relative_difference
from captum_ilin.metrics.chance import Seed, drawing_from, number_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.explaining import attributions_of
from captum_ilin.metrics.features import as_tuple
from captum_ilin.metrics.training import unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.scores import Scores

__all__ = ["implementation_invariance", "input_invariance"]


def implementation_invariance(
    method: Method,
    forward_func: Callable[..., Any],
    twin: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    seed: Seed = 0,
) -> Scores:
    """How much attributions change when the same function is written in another way.

    ‖φ(G) − φ(F)‖₂ / ‖φ(F)‖₂ for a twin G with G(x) = F(x) everywhere. That the two agree is
    checked at the inputs and half-way from them to 0.

    Args:
        method: forward function → explainer, such as the class ``captum.attr.Saliency``.
        forward_func: F, what is explained.
        twin: G, another implementation of it.
        inputs: (batch, \\*features), or a tuple of such tensors.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of both.
        attribute_kwargs: further arguments of ``attribute``.
        tolerance: largest |F − G| relative to the largest |F|. Default: 1000 units of rounding
            of the output's type.
        seed: PyTorch's global generator starts from it for both attributions, so a random
            method draws the same.

    Returns:
        Lower is better, from 0; NaN where φ(F) is 0 throughout.

    Raises:
        MetricInputError: the two compute different functions.

    Cost: two attributions, and four rows forward for each example.

    Source: Sundararajan et al. 2017, arXiv 1703.01365, section 2.2.

    >>> import torch
    >>> from captum.attr import InputXGradient
    >>> from captum_ilin.metrics import implementation_invariance
    >>> class Split(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.up, self.down = torch.nn.ReLU(), torch.nn.ReLU()
    ...     def forward(self, x):
    ...         return self.up(x) - self.down(-x)
    >>> x = torch.tensor([[1.0, -2.0]])
    >>> same = torch.nn.Identity()
    >>> implementation_invariance(InputXGradient, same, Split(), x, target=1).values
    tensor([0.], dtype=torch.float64)
    """
    constants = _constants(additional_forward_args)
    parts = as_tuple(inputs)
    for points in (parts, tuple(part / 2 for part in parts)):
        _check_same(forward_func, twin, points, constants, tolerance)
    number = number_of(seed)

    def explained(function: Callable[..., Any]) -> tuple[Tensor, ...]:
        with drawing_from(number):
            return attributions_of(
                method,
                function,
                inputs,
                target=target,
                additional_forward_args=additional_forward_args,
                attribute_kwargs=attribute_kwargs,
            )

    of_twin = explained(twin)
    return relative_difference("implementation invariance", of_twin, explained(forward_func))


def input_invariance(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    shift: Tensor | tuple[Tensor, ...] | float,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    shifted_kwargs: Mapping[str, Any] | None = None,
    seed: Seed = 0,
) -> Scores:
    """How much attributions change when inputs are measured from another origin.

    ‖φ(F₂, x + s) − φ(F, x)‖₂ / ‖φ(F, x)‖₂, with F₂(z) = F(z − s): the same predictions from
    the same evidence. Methods that multiply by their input depend on the origin; those that
    compare with a baseline do not, if the baseline is shifted too.

    Args:
        method: forward function → explainer, such as the class ``captum.attr.Saliency``.
        forward_func: F, what is explained.
        inputs: x, (batch, \\*features), or a tuple of such tensors.
        shift: s, a number, or shaped so that it can be added to the inputs.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        attribute_kwargs: further arguments of ``attribute``, such as ``baselines``.
        shifted_kwargs: those of the shifted network in which it differs, such as
            ``{"baselines": baselines + shift}``. Default: the same.
        seed: PyTorch's global generator starts from it for both attributions, so a random
            method draws the same.

    Returns:
        Lower is better, from 0; NaN where φ(F, x) is 0 throughout. x + s − s is x to the
        rounding of the input's type, which limits how near to 0 a value can come.

    Raises:
        MetricInputError: the shift does not fit the inputs.

    Cost: two attributions.

    Source: Kindermans et al. 2019, arXiv 1711.00867, section 2.

    >>> import torch
    >>> from captum.attr import InputXGradient, Saliency
    >>> from captum_ilin.metrics import input_invariance
    >>> layer, x = torch.nn.Linear(3, 2), torch.rand(4, 3)
    >>> bool(input_invariance(Saliency, layer, x, 1.0, target=0).values.max() == 0)
    True
    >>> bool(input_invariance(InputXGradient, layer, x, 1.0, target=0).values.min() > 0.1)
    True
    """
    parts = tuple(part.detach() for part in as_tuple(inputs))
    shifts = _shifts(shift, parts)
    moved = tuple(part + by for part, by in zip(parts, shifts, strict=True))
    kwargs = dict(attribute_kwargs or {})
    number = number_of(seed)

    def explained(
        function: Callable[..., Any], at: tuple[Tensor, ...], more: Mapping[str, Any]
    ) -> tuple[Tensor, ...]:
        with drawing_from(number):
            return attributions_of(
                method,
                function,
                at if isinstance(inputs, tuple) else at[0],
                target=target,
                additional_forward_args=additional_forward_args,
                attribute_kwargs=more,
            )

    of_moved = explained(
        _Shifted(forward_func, shifts), moved, kwargs | dict(shifted_kwargs or {})
    )
    return relative_difference(
        "input invariance", of_moved, explained(forward_func, parts, kwargs)
    )


class _Shifted(nn.Module):
    """F(z − s), a module so that methods that hook modules find those of F."""

    def __init__(self, forward_func: Callable[..., Any], shifts: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.forward_func, self.shifts = forward_func, shifts
        self.training = any(child.training for child in self.children())

    def forward(self, *args: Any) -> Any:
        count = len(self.shifts)
        moved = (arg - by for arg, by in zip(args[:count], self.shifts, strict=True))
        return self.forward_func(*moved, *args[count:])


def _shifts(
    shift: Tensor | tuple[Tensor, ...] | float, parts: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """One for each input, with 1 in place of the batch: methods change how many rows go in."""
    given = shift if isinstance(shift, tuple) else (shift,) * len(parts)
    shifts = tuple(
        torch.as_tensor(by).detach().to(part) for by, part in zip(given, parts, strict=True)
    )
    for by, part in zip(shifts, parts, strict=True):
        one = part[:1].shape
        try:
            fits = torch.broadcast_shapes(by.shape, one) == one
        except RuntimeError:
            fits = False
        if not fits:
            raise MetricInputError(
                f"The shift has shape {tuple(by.shape)}; expected a number, or a shape that "
                f"adds to one example, {tuple(one)}: every example has the same origin."
            )
    return shifts


@torch.no_grad()
def _check_same(
    forward_func: Callable[..., Any],
    twin: Callable[..., Any],
    points: tuple[Tensor, ...],
    constants: tuple[Any, ...],
    tolerance: float | None,
) -> None:
    with unchanged(forward_func), unchanged(twin):
        output, other = forward_func(*points, *constants), twin(*points, *constants)
    if output.shape != other.shape:
        raise MetricInputError(
            f"The twin's output has shape {tuple(other.shape)}; expected that of forward_func, "
            f"{tuple(output.shape)}, because both are to compute one function."
        )
    limit = 1000 * torch.finfo(output.dtype).eps if tolerance is None else tolerance
    largest = float(output.double().abs().max())
    error = float((output.double() - other.double()).abs().max())
    if not error <= limit * largest:
        raise MetricInputError(
            f"The twin computes another function: its outputs differ by {error:.3g}, expected "
            f"at most {limit * largest:.3g} ({limit:.3g} of the largest output), at the inputs "
            "or half-way from them to 0. Pass a network with the same outputs, or a larger "
            "tolerance."
        )


def _constants(additional_forward_args: Any) -> tuple[Any, ...]:
    if additional_forward_args is None:
        return ()
    if isinstance(additional_forward_args, tuple):
        return additional_forward_args
    return (additional_forward_args,)
