"""The Captum method for neurons: W ∘ x, what each input feature contributes to one unit.

    attributions.sum() + bias == neuron(x)

The unit's value is a function of the inputs like any other, so this is ``ILIN`` of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from captum.attr import GradientAttribution, NeuronAttribution

from captum_ilin.attribution import InstanceWiseLinearization, logged
from captum_ilin.checks import check_forward_func, check_single_device
from captum_ilin.cut import Cut, read
from captum_ilin.errors import NotOfferedError
from captum_ilin.rules import DEFAULT_RULES
from captum_ilin.selectors import select_neuron

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from captum_ilin.ruletable import RuleTable

__all__ = ["NeuronILIN", "NeuronInstanceWiseLinearization"]


class NeuronInstanceWiseLinearization(NeuronAttribution, GradientAttribution):
    r"""Exact contributions to a hidden unit: n(x) = W x + b at this input.

    As ``InstanceWiseLinearization``, with a unit of a layer in the place of the output.

    Source: Li et al. 2023, Instance-wise Linearization of Neural Network for Model
    Interpretation, arXiv 2310.16295.

    Args:
        forward_func (Callable): any PyTorch module or function; what it returns does not
            matter. It is not changed.
        layer (torch.nn.Module): the layer the unit belongs to.
        device_ids (list[int], optional): for Captum's convention. More than one device is
            refused, as is ``nn.DataParallel`` on several. Default: None
        multiply_by_inputs (bool, optional): return W ∘ x; if False, W. Default: True
        rules (RuleTable, optional): how each op is frozen. Default: ``DEFAULT_RULES``
        strict (bool, optional): raise at an op without a rule, instead of taking its
            tangent with a warning. Default: False

    Examples::

        >>> import torch
        >>> from captum_ilin import NeuronILIN
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
        >>> x = torch.randn(5, 3)
        >>> neuron = NeuronILIN(model, model[1])
        >>> attributions, bias = neuron.attribute(x, 2, return_bias=True)
        >>> torch.allclose(attributions.sum(1) + bias, model[:2](x)[:, 2], atol=1e-5)
        True
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        *,
        rules: RuleTable = DEFAULT_RULES,
        strict: bool = False,
    ) -> None:
        NeuronAttribution.__init__(self, forward_func, layer, device_ids)
        GradientAttribution.__init__(self, forward_func)
        self.rules = rules
        self.strict = strict
        self._multiply_by_inputs = multiply_by_inputs

    @logged
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: Any,
        additional_forward_args: Any = None,
        attribute_to_neuron_input: bool = False,
        *,
        return_convergence_delta: bool = False,
        return_bias: bool = False,
        call: int = -1,
    ) -> Any:
        r"""The contribution of every input feature to the chosen unit.

        Args:
            inputs (Tensor or tuple[Tensor, ...]): floating-point inputs, batch first.
            neuron_selector (int, tuple or Callable): an index into the layer's value without
                its batch dimension: an int or a tuple of ints and slices, where the units
                that slices choose are summed; or a function of that value (of a tuple, if
                it holds several tensors) that returns one value per example, (batch,).
            additional_forward_args (Any, optional): further arguments of ``forward_func``,
                held constant. Default: None
            attribute_to_neuron_input (bool, optional): choose from what goes into the layer
                (its positional arguments) rather than what comes out. Default: False
            return_convergence_delta (bool, optional): also return the measured difference
                Σ attributions + bias − n(x). Default: False
            return_bias (bool, optional): also return the bias. Default: False
            call (int, optional): which call, of a layer called more than once: 0 for the
                first, −1 for the last, as in Captum. Default: −1

        Returns:
            **attributions**, then **delta** and **bias** if asked for, as of
            ``InstanceWiseLinearization.attribute``.

        Cost: as ``InstanceWiseLinearization.attribute``, the network above the unit included.
        """
        check_forward_func(self.forward_func)
        check_single_device(self.forward_func, self.device_ids)
        cut = Cut(self.layer, attribute_to_neuron_input, call)
        method = InstanceWiseLinearization(
            partial(_value_of_neuron, self.forward_func, cut, neuron_selector),
            self.multiplies_by_inputs,
            self.rules,
            strict=self.strict,
        )
        attribute: Any = method.attribute
        return attribute.__wrapped__(
            method,
            inputs,
            additional_forward_args=additional_forward_args,
            return_convergence_delta=return_convergence_delta,
            return_bias=return_bias,
        )

    def attribute_future(self) -> None:
        """Not offered; raises NotImplementedError."""
        raise NotOfferedError(
            "attribute_future is not implemented for NeuronInstanceWiseLinearization. Call "
            "attribute instead."
        )

    def has_convergence_delta(self) -> bool:
        """True: ``attribute`` measures the delta against the plain network."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether ``attribute`` returns W ∘ x rather than W."""
        return self._multiply_by_inputs


NeuronILIN = NeuronInstanceWiseLinearization


def _value_of_neuron(
    forward_func: Callable[..., Any], cut: Cut, selector: Any, *arguments: Any
) -> Tensor:
    """n(x), (batch,), with its graph."""
    reading = read(cut, lambda: forward_func(*arguments), forward_func)
    return select_neuron(reading.values, selector)
