"""``linearize`` and ``frozen``: make the inputs active, run once under ``Freezing``."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.affine import AffineMap
from captum_ilin.arguments import mapped, tensors
from captum_ilin.baselinerun import BaselineRun
from captum_ilin.baselines import baselines_for
from captum_ilin.betweenrun import BetweenRun
from captum_ilin.checks import (
    check_batch,
    check_finite,
    check_forward_func,
    check_inputs,
    check_output,
)
from captum_ilin.diagnosis import WatchingFinite
from captum_ilin.freezing import Freezing
from captum_ilin.ledger import Ledger
from captum_ilin.modes import gradients_on
from captum_ilin.rules import DEFAULT_RULES, REFERENCE_RULES
from captum_ilin.ruletable import check_between
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.baselinerun import Call
    from captum_ilin.ruletable import RuleTable

__all__ = [
    "Comparison",
    "between",
    "constants_of",
    "frozen",
    "leaves_of",
    "linearize",
    "map_at",
]


def linearize(
    forward_func: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    additional_forward_args: Any = None,
    baselines: Any = None,
    rules: RuleTable | None = None,
    strict: bool = False,
) -> AffineMap:
    """The affine map F(x) = W x + b that ``forward_func`` is, frozen at ``inputs``.

    With ``baselines`` x' it passes through the network's values at both points, so that
    F(x) − F(x') = <W, x − x'>.

    Args:
        forward_func: any PyTorch callable that returns one tensor, (batch, \\*out) or
            (batch,). It is not changed.
        inputs: the operating point x0: a floating-point tensor (batch, \\*features), or a
            tuple of them.
        additional_forward_args (optional): further positional arguments, held constant; bind
            those with names by ``functools.partial``.
        baselines (optional): x', in Captum's forms: a number, a tensor shaped like ``inputs``
            or like one example of them, or a tuple of these for a tuple of inputs. Default:
            None, no second point.
        rules (RuleTable, optional): how each op is frozen. Default: ``DEFAULT_RULES``, and
            with baselines ``REFERENCE_RULES``.
        strict (bool, optional): raise at an op without a rule. Default: False, which takes
            its tangent and warns.

    Returns:
        AffineMap: weights, bias, ledger and certificate, computed when asked for.

    Raises:
        IlinError: see ``captum_ilin.errors``; each message says what to do.

    Cost: one forward pass, and the memory of its graph while the map is kept; with baselines
    another forward pass, and the memory of its values.

    Source: Li et al. 2023, arXiv 2310.16295; between two points, see ``REFERENCE_RULES``.

    >>> import torch
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    >>> x = torch.randn(5, 3)
    >>> affine_map = linearize(model, x)
    >>> w, b = affine_map.weight(target=1), affine_map.bias(target=1)
    >>> torch.allclose((w * x).sum(1) + b, model(x)[:, 1], atol=1e-5)
    True
    """
    check_forward_func(forward_func)
    points = inputs if isinstance(inputs, tuple) else (inputs,)
    check_inputs(points, forward_func)
    constants = constants_of(additional_forward_args)
    if baselines is None:
        chosen = DEFAULT_RULES if rules is None else rules
        freezing = Freezing(chosen, strict=strict, ledger=Ledger())
        affine_map = map_at(forward_func, inputs, constants=constants, freezing=freezing)
    else:
        comparison = Comparison.at(
            baselines_for(baselines, points), forward_func, constants, rules, strict=strict
        )
        affine_map = map_at(
            forward_func,
            inputs,
            constants=constants,
            freezing=comparison.run(Ledger()),
            baselines=comparison.baselines,
        )
    check_batch(affine_map.graph_outputs, affine_map.leaves)
    return affine_map


def map_at(
    forward_func: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    constants: tuple[Any, ...],
    freezing: Freezing,
    baselines: tuple[Tensor, ...] | None = None,
) -> AffineMap:
    """The affine map at ``inputs``, which have been checked; their rows may be anything."""
    leaves = leaves_of(inputs if isinstance(inputs, tuple) else (inputs,))
    outputs = _run(forward_func, (*leaves, *constants), {}, freezing, leaves)
    return AffineMap(
        forward_func=forward_func,
        inputs=inputs,
        constants=constants,
        leaves=leaves,
        graph_outputs=outputs,
        freezing=freezing,
        baselines=baselines,
    )


def frozen(
    forward_func: Callable[..., Any],
    *,
    rules: RuleTable = DEFAULT_RULES,
    strict: bool = False,
) -> Callable[..., Tensor]:
    """``forward_func`` with the same values, frozen at whatever it is called with.

    The arguments that require gradients are the active ones. Composes with whatever takes
    gradients of a forward function: ``InputXGradient(frozen(model))`` is W∘x.

    Args:
        forward_func: any PyTorch callable that returns one tensor.
        rules (RuleTable, optional): how each op is frozen. Default: ``DEFAULT_RULES``.
        strict (bool, optional): raise at an op without a rule. Default: False.

    Returns:
        A callable with the arguments of ``forward_func``.

    Cost: as ``forward_func``; the backward pass is usually cheaper.

    >>> import torch
    >>> x = torch.randn(4, 3, requires_grad=True)
    >>> y = frozen(torch.nn.functional.silu)(x)
    >>> torch.allclose(torch.autograd.grad(y.sum(), x)[0], torch.sigmoid(x))
    True
    """
    check_forward_func(forward_func)

    def frozen_forward(*args: Any, **kwargs: Any) -> Tensor:
        active = [tensor for tensor in tensors((args, kwargs)) if tensor.requires_grad]
        return _run(forward_func, args, kwargs, Freezing(rules, strict=strict), active)

    return _like(forward_func, frozen_forward)


@dataclass(frozen=True)
class Comparison:
    """A forward function at its baselines, to be compared with it elsewhere.

    Attributes:
        baselines: x', one for each input.
        outputs: F(x'), as the run at the baselines gave it.
    """

    baselines: tuple[Tensor, ...]
    outputs: Tensor
    _calls: list[Call]
    _rules: RuleTable
    _strict: bool

    @classmethod
    def at(
        cls,
        baselines: tuple[Tensor, ...],
        forward_func: Callable[..., Any],
        constants: tuple[Any, ...],
        rules: RuleTable | None,
        *,
        strict: bool,
    ) -> Comparison:
        """Run at the baselines, and record."""
        rules = REFERENCE_RULES if rules is None else rules
        check_between(rules)
        run = BaselineRun(rules)
        leaves = leaves_of(baselines)
        outputs = _forward(forward_func, (*leaves, *constants), {}, run, leaves)
        check_output(outputs)
        check_finite(outputs.detach(), "The output of forward_func at the baseline", None)
        return cls(baselines, outputs.detach(), run.calls, rules, strict)

    def run(self, ledger: Ledger | None = None) -> BetweenRun:
        """A run at the inputs, between them and the baselines."""
        return BetweenRun(self._rules, self._calls, strict=self._strict, ledger=ledger)

    def only_run(self) -> BetweenRun:
        """`run`, which leaves nothing for another: what was recorded is freed on the way."""
        return BetweenRun(self._rules, self._calls, strict=self._strict, frees=True)


def between(
    forward_func: Callable[..., Any], compare: Callable[[], Comparison]
) -> Callable[..., Tensor]:
    """``forward_func`` with the same values, frozen between the baselines and its arguments.

    Args:
        compare: records the function at the baselines, anew for each call of the result.
    """

    def forward(*args: Any) -> Tensor:
        active = [tensor for tensor in tensors(args) if tensor.requires_grad]
        return _run(forward_func, args, {}, compare().only_run(), active)

    return _like(forward_func, forward)


def _like(forward_func: Callable[..., Any], function: Callable[..., Tensor]) -> Any:
    """Functions keep their parameters: Captum calls one that has none with no arguments."""
    if inspect.isroutine(forward_func):
        functools.update_wrapper(function, forward_func)
    vars(function)["__wrapped__"] = forward_func
    return function


def _run(
    forward_func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    freezing: Freezing,
    active: Any,
) -> Tensor:
    """The forward pass under ``freezing``, checked."""
    outputs = _forward(forward_func, args, kwargs, freezing, active)
    freezing.reports.warn()
    check_output(outputs)
    if not torch.isfinite(outputs.detach().sum()) and not torch.isfinite(outputs).all():
        watching = WatchingFinite(freezing.rules)
        _forward(forward_func, args, kwargs, watching, active)
        check_finite(outputs, "The output of forward_func", watching.finding)
    return outputs


def _forward(
    forward_func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    freezing: Freezing,
    active: Any,
) -> Any:
    """The forward pass under ``freezing``, with the ``active`` arguments made active."""
    chosen = {id(tensor) for tensor in active}

    def enter(tensor: Tensor) -> Tensor:
        return freezing.enter(tensor) if id(tensor) in chosen else tensor

    entered_args, entered_kwargs = mapped((args, kwargs), enter)
    with buffers_kept(forward_func), freezing.run():
        outputs = forward_func(*entered_args, **entered_kwargs)
    return freezing.finish(outputs)


def leaves_of(points: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Active leaves that share the inputs' memory; the inputs' own graphs are left alone."""
    with gradients_on():
        return tuple(
            (point.clone() if point.is_inference() else point.detach()).requires_grad_()
            for point in points
        )


def constants_of(additional_forward_args: Any) -> tuple[Any, ...]:
    """Captum's additional arguments as a tuple of constants."""
    if additional_forward_args is None:
        return ()
    if not isinstance(additional_forward_args, tuple):
        additional_forward_args = (additional_forward_args,)
    constants: tuple[Any, ...] = mapped(additional_forward_args, Tensor.detach)
    return constants
