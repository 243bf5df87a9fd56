"""The Captum method: W ∘ x0, and on request the bias and the measured difference.

    attributions.sum() + bias == F_target(x0)

Captum's calling convention and nothing else; the work is in ``linearization``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import torch
from captum._utils.common import _run_forward
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from captum_ilin.arguments import mapped
from captum_ilin.baselines import each_baseline
from captum_ilin.certificate import row_sums
from captum_ilin.checks import check_batch, check_inputs, check_output
from captum_ilin.derivatives import input_gradients, plain_forward
from captum_ilin.differences import differences, steps_times
from captum_ilin.errors import NotOfferedError
from captum_ilin.linearization import constants_of, frozen, leaves_of, linearize
from captum_ilin.modes import gradients_on
from captum_ilin.rules import DEFAULT_RULES, REFERENCE_RULES
from captum_ilin.targets import select

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.ruletable import RuleTable

__all__ = ["ILIN", "InstanceWiseLinearization", "logged"]

Method = TypeVar("Method", bound="Callable[..., Any]")
logged: Callable[[Method], Method] = log_usage(part_of_slo=True)  # Captum's mark, typed


class InstanceWiseLinearization(GradientAttribution):
    r"""Exact contributions: F(x) = W x + b at this input, as a Captum attribution method.

    The network is frozen at its input: activation pattern, gates, attention patterns and
    scale statistics are held. What is left is affine and equal to the network there. On
    networks of ReLUs, W ∘ x is InputXGradient; beyond them the two differ, and this one
    adds up to the prediction together with the bias.

    Source: Li et al. 2023, Instance-wise Linearization of Neural Network for Model
    Interpretation, arXiv 2310.16295.

    Args:
        forward_func (Callable): any PyTorch module or function that returns one tensor,
            (batch, \*out) or (batch,). It is not changed.
        multiply_by_inputs (bool, optional): return W ∘ x; if False, W. Default: True
        rules (RuleTable, optional): how each op is frozen. Default: ``DEFAULT_RULES``, and
            with baselines ``REFERENCE_RULES``
        strict (bool, optional): raise at an op without a rule, instead of taking its
            tangent with a warning. Default: False

    Examples::

        >>> import torch
        >>> from captum_ilin import InstanceWiseLinearization
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
        >>> x = torch.randn(5, 3)
        >>> ilin = InstanceWiseLinearization(model)
        >>> attributions, bias = ilin.attribute(x, target=1, return_bias=True)
        >>> torch.allclose(attributions.sum(1) + bias, model(x)[:, 1], atol=1e-5)
        True
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        multiply_by_inputs: bool = True,
        rules: RuleTable | None = None,
        *,
        strict: bool = False,
    ) -> None:
        super().__init__(forward_func)
        self.gradient_func: Callable[..., tuple[Tensor, ...]] = _weights
        self.rules = DEFAULT_RULES if rules is None else rules
        self._rules_between = REFERENCE_RULES if rules is None else rules
        self.strict = strict
        self._multiply_by_inputs = multiply_by_inputs

    @overload
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: Literal[False] = False,
        *,
        baselines: Any = None,
        return_bias: Literal[False] = False,
    ) -> Any: ...

    @overload
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        baselines: Any = None,
        return_convergence_delta: Literal[True],
        return_bias: Literal[False] = False,
    ) -> tuple[Any, Tensor]: ...

    @overload
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: Literal[False] = False,
        *,
        return_bias: Literal[True],
    ) -> tuple[Any, Tensor]: ...

    @overload
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        return_convergence_delta: Literal[True],
        return_bias: Literal[True],
    ) -> tuple[Any, Tensor, Tensor]: ...

    @logged
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        *,
        baselines: Any = None,
        return_bias: bool = False,
    ) -> Any:
        r"""The contribution of every input feature to the chosen output.

        With ``baselines`` x' that to the difference F(x) − F(x'), as DeepLIFT and Integrated
        Gradients give it: Σ W ∘ (x − x') = F(x) − F(x'), exactly.

        Args:
            inputs (Tensor or tuple[Tensor, ...]): floating-point inputs, batch first.
            target (int, tuple, Tensor or list, optional): the output to explain, in any of
                Captum's forms. Default: None, for one output per example
            additional_forward_args (Any, optional): further positional arguments of
                ``forward_func``, held constant; bind those with names by
                ``functools.partial``. Default: None
            return_convergence_delta (bool, optional): also return the measured difference
                Σ attributions + bias − F(x), with baselines
                Σ attributions − (F(x) − F(x')). Default: False
            baselines (optional): x': a number, a tensor shaped like ``inputs`` or like one
                example of them, or a tuple of these for a tuple of inputs, None in it for
                zeros. A distribution of them, (baselines, batch or 1, \*features), is averaged
                over. Default: None, no second point
            return_bias (bool, optional): also return the bias; between two points constants
                cancel, and there is none. Default: False

        Returns:
            **attributions**, then **delta** and **bias** if asked for:

            - **attributions** (*Tensor* or *tuple[Tensor, ...]*): W ∘ x (or W), with
              baselines W ∘ (x − x'), shaped like ``inputs``.
            - **delta** (*Tensor*): (batch,), from the plain network and the ledger's bias.
            - **bias** (*Tensor*): (batch,), the sum of the constants that enter additively.

        Cost: one forward and one backward pass. Bias: one more forward and two backward
        passes. Delta: the bias, and one plain forward pass. With baselines two forward passes
        and one backward pass for each of them, and for delta two plain forward passes.
        """
        points = inputs if isinstance(inputs, tuple) else (inputs,)
        check_inputs(points, self.forward_func)
        if baselines is not None:
            if return_bias:
                raise NotOfferedError(_NO_BIAS)
            return self._between(
                inputs, baselines, target, additional_forward_args, return_convergence_delta
            )
        if return_convergence_delta or return_bias:
            self._check_explains_the_output()
        leaves, constants = leaves_of(points), constants_of(additional_forward_args)
        forward = frozen(self.forward_func, rules=self.rules, strict=self.strict)
        weights = self.gradient_func(forward, leaves, target, constants)
        terms = self._attributions(weights, points)
        attributions = terms if isinstance(inputs, tuple) else terms[0]
        if not (return_convergence_delta or return_bias):
            return attributions
        bias = self._bias(inputs, target, constants)
        results: list[Any] = [attributions]
        if return_convergence_delta:
            results.append(self._delta(terms, bias, points, target, constants))
        if return_bias:
            results.append(bias)
        return tuple(results)

    def attribute_future(self) -> None:
        """Not offered; raises NotImplementedError."""
        raise NotOfferedError(
            "attribute_future is not implemented for InstanceWiseLinearization. Call "
            "attribute instead."
        )

    def compute_convergence_delta(
        self,
        attributions: Tensor | tuple[Tensor, ...],
        start_point: Any,
        end_point: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        r"""Σ attributions + b − F(end_point), for each example; with a start point
        Σ attributions − (F(end_point) − F(start_point)).

        Args:
            attributions: what ``attribute`` returned for ``end_point``.
            start_point: the baselines that ``attribute`` was given; None without.
            end_point: the inputs.
            target (optional): as for ``attribute``.
            additional_forward_args (optional): as for ``attribute``.

        Returns:
            Tensor: (batch,), 0 up to rounding when the attributions are complete.
        """
        points = end_point if isinstance(end_point, tuple) else (end_point,)
        check_inputs(points, self.forward_func)
        constants = constants_of(additional_forward_args)
        if start_point is not None:
            return self._delta_from(attributions, points, start_point, target, constants)
        bias = self._bias(end_point, target, constants)
        terms = attributions if isinstance(attributions, tuple) else (attributions,)
        return self._delta(terms, bias, points, target, constants)

    def has_convergence_delta(self) -> bool:
        """True: the delta is measured against the plain network."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether ``attribute`` returns W ∘ x rather than W."""
        return self._multiply_by_inputs

    def _check_explains_the_output(self) -> None:
        """Bias and delta are the output's; a replaced gradient_func explains something else."""
        if self.gradient_func is not _weights:
            raise NotOfferedError(
                "return_bias and return_convergence_delta are not offered here: gradient_func "
                "has been replaced, so the attributions are not those of forward_func's "
                "output, as in neuron attribution. Ask for the attributions alone."
            )

    def _between(
        self,
        inputs: Any,
        baselines: Any,
        target: Any,
        additional_forward_args: Any,
        return_convergence_delta: bool,
    ) -> Any:
        if return_convergence_delta:
            self._check_explains_the_output()
        points = inputs if isinstance(inputs, tuple) else (inputs,)
        constants = constants_of(additional_forward_args)
        found = differences(
            self.forward_func,
            points,
            baselines,
            self.gradient_func,
            target=target,
            constants=constants,
            rules=self._rules_between,
            strict=self.strict,
        )
        results = found.terms if self.multiplies_by_inputs else found.weights
        attributions = results if isinstance(inputs, tuple) else results[0]
        if not return_convergence_delta:
            return attributions
        args = (points, found.baselines, target, constants)
        return attributions, self._delta_between(found.terms, *args)

    def _delta_from(
        self,
        attributions: Any,
        points: tuple[Tensor, ...],
        baselines: Any,
        target: Any,
        constants: tuple[Any, ...],
    ) -> Tensor:
        """The delta of attributions that were returned."""
        compared = list(each_baseline(baselines, points))
        terms = attributions if isinstance(attributions, tuple) else (attributions,)
        if not self.multiplies_by_inputs:
            if len(compared) > 1:
                raise NotOfferedError(
                    "W averaged over several baselines does not tell Σ W ∘ (x − x'). Ask "
                    "attribute for return_convergence_delta."
                )
            terms = steps_times(terms, points, compared[0])
        return self._delta_between(terms, points, compared, target, constants)

    def _delta_between(
        self,
        terms: tuple[Tensor, ...],
        points: tuple[Tensor, ...],
        compared: list[tuple[Tensor, ...]],
        target: Any,
        constants: tuple[Any, ...],
    ) -> Tensor:
        total = torch.stack([row_sums(term) for term in terms]).sum(0)
        value = self._value(points, target, constants)
        before = [self._value(baseline, target, constants) for baseline in compared]
        return (total - (value - torch.stack(before).mean(0))).detach()

    def _value(
        self, points: tuple[Tensor, ...], target: Any, constants: tuple[Any, ...]
    ) -> Tensor:
        """F of the target, from the plain network."""
        return select(plain_forward(self.forward_func, leaves_of(points), constants), target)

    def _attributions(
        self, weights: tuple[Tensor, ...], points: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        if not self.multiplies_by_inputs:
            return tuple(weight.detach() for weight in weights)
        return tuple(
            weight.detach() * point.detach()
            for weight, point in zip(weights, points, strict=True)
        )

    def _bias(self, inputs: Any, target: Any, constants: tuple[Any, ...]) -> Tensor:
        affine_map = linearize(
            self.forward_func,
            inputs,
            additional_forward_args=constants,
            rules=self.rules,
            strict=self.strict,
        )
        return affine_map.bias(target)

    def _delta(
        self,
        terms: tuple[Tensor, ...],
        bias: Tensor,
        points: tuple[Tensor, ...],
        target: Any,
        constants: tuple[Any, ...],
    ) -> Tensor:
        if not self.multiplies_by_inputs:
            terms = tuple(t * point for t, point in zip(terms, points, strict=True))
        total = torch.stack([row_sums(term) for term in terms]).sum(0)
        return (total + bias - self._value(points, target, constants)).detach()


_NO_BIAS = (
    "return_bias is not offered with baselines: constants cancel in F(x) − F(x'), so there is "
    "no bias. `linearize(..., baselines=baselines).bias(target)` is b of W x + b."
)


ILIN = InstanceWiseLinearization


def _weights(
    forward_fn: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    target_ind: Any = None,
    additional_forward_args: Any = None,
) -> tuple[Tensor, ...]:
    """W of the target, with the signature Captum's neuron methods replace."""
    with gradients_on():
        outputs: Any = _run_forward(forward_fn, inputs, None, additional_forward_args)
        check_output(outputs)
        check_batch(outputs, inputs)
        return input_gradients(
            select(outputs, target_ind),
            inputs,
            forward_func=getattr(forward_fn, "__wrapped__", forward_fn),
            constants=mapped(additional_forward_args, Tensor.detach),
            retain_graph=False,
        )
