"""The Captum method for layers: W ∘ a, what each unit of a layer contributes to the output.

    attributions.sum() + bias == F_target(x),  F(x) = W a(x) + b

Captum's calling convention and nothing else; the work is in ``layers`` and ``cut``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from captum.attr import LayerGradientXActivation
from torch import Tensor, nn

from captum_ilin.attribution import logged
from captum_ilin.checks import check_callable, check_not_opaque, check_single_device
from captum_ilin.cut import Cut, called
from captum_ilin.derivatives import plain_forward
from captum_ilin.errors import InputTypeError, LayerTypeError, NotOfferedError
from captum_ilin.layers import layer_map, layer_weights
from captum_ilin.ledger import Ledger
from captum_ilin.linearization import constants_of
from captum_ilin.modes import gradients_on
from captum_ilin.rules import DEFAULT_RULES
from captum_ilin.targets import select

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.affine import AffineMap
    from captum_ilin.ruletable import RuleTable

__all__ = ["LayerILIN", "LayerInstanceWiseLinearization"]

_WITHOUT_EFFECT = {"allow_unused", "materialize_grads"}


class LayerInstanceWiseLinearization(LayerGradientXActivation):
    r"""Exact contributions of a layer's value a: F(x) = W a + b at this input.

    The network above the layer is frozen at its operating point, with the layer's value as
    the only active one. What reaches the output without passing through the layer, such as a
    residual path, is constant at this input and counts in b: attributions and bias add up to
    the prediction for every layer on its own. Several layers are several such maps.

    A ``LayerGradientXActivation``, so that what Captum builds on that class (TCAV,
    LLMGradientAttribution) accepts it. ``DataLoaderAttribution`` compares exact types and
    accepts no class but Captum's own.

    Source: Li et al. 2023, Instance-wise Linearization of Neural Network for Model
    Interpretation, arXiv 2310.16295.

    Args:
        forward_func (Callable): any PyTorch module or function that returns one tensor,
            (batch, \*out) or (batch,). It is not changed.
        layer (torch.nn.Module or list[torch.nn.Module]): the layer, or several. Integer
            inputs are welcome: the output of an embedding layer is not integer.
        device_ids (list[int], optional): for Captum's convention. More than one device is
            refused, as is ``nn.DataParallel`` on several. Default: None
        multiply_by_inputs (bool, optional): return W ∘ a; if False, W. Default: True
        rules (RuleTable, optional): how each op is frozen. Default: ``DEFAULT_RULES``
        strict (bool, optional): raise at an op without a rule, instead of taking its
            tangent with a warning. Default: False

    Examples::

        >>> import torch
        >>> from captum_ilin import LayerILIN
        >>> nn = torch.nn
        >>> embedding, head = nn.Embedding(100, 8), nn.Linear(8, 2)
        >>> def classify(ids):
        ...     return head(torch.tanh(embedding(ids)).mean(1))
        >>> ids = torch.tensor([[5, 17, 42]])
        >>> words, bias = LayerILIN(classify, embedding).attribute(ids, 1, return_bias=True)
        >>> words.shape
        torch.Size([1, 3, 8])
        >>> torch.allclose(words.sum((1, 2)) + bias, classify(ids)[:, 1], atol=1e-6)
        True
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module | list[nn.Module],
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        *,
        rules: RuleTable = DEFAULT_RULES,
        strict: bool = False,
    ) -> None:
        layers: Any = layer  # one or several; Captum's type variable admits only one of them
        super().__init__(forward_func, layers, device_ids, multiply_by_inputs)
        self.rules = rules
        self.strict = strict

    @logged
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        return_convergence_delta: bool = False,
        return_bias: bool = False,
        call: int = -1,
    ) -> Any:
        r"""The contribution of every unit of the layer to the chosen output.

        Args:
            inputs (Tensor or tuple[Tensor, ...]): of any type, integers included.
            target (int, tuple, Tensor or list, optional): the output to explain, in any of
                Captum's forms. Default: None, for one output per example
            additional_forward_args (Any, optional): further arguments of ``forward_func``.
                Default: None
            attribute_to_layer_input (bool, optional): explain what goes into the layer (its
                positional arguments) rather than what comes out. Default: False
            grad_kwargs (dict, optional): for Captum's convention; ``allow_unused`` is always
                so here, anything else is refused. Default: None
            return_convergence_delta (bool, optional): also return the measured difference
                Σ attributions + bias − F(x). Default: False
            return_bias (bool, optional): also return the bias. Default: False
            call (int, optional): which call, of a layer called more than once: 0 for the
                first, −1 for the last, as in Captum. The other calls are constant.

        Returns:
            **attributions**, then **delta** and **bias** if asked for; of several layers a
            list of each:

            - **attributions** (*Tensor* or *tuple[Tensor, ...]*): W ∘ a (or W), shaped like
              the layer's value; a tuple where that holds several floating-point tensors, 0
              for those that the output does not use.
            - **delta** (*Tensor*): (batch,), from the plain network and the ledger's bias.
            - **bias** (*Tensor*): (batch,), the constants that enter above the layer, what
              reaches the output around it among them.

        Cost: for each layer two forward passes and one backward pass. Bias: two backward
        passes more. Delta: the bias, one backward pass of a backward pass, and one plain
        forward pass.
        """
        _check_grad_kwargs(grad_kwargs)
        request = self._request(inputs, target, additional_forward_args)
        explained = [
            self._explained(
                Cut(layer, attribute_to_layer_input, call),
                request,
                measured=(return_convergence_delta, return_bias),
            )
            for layer in self._layers
        ]
        if not self._has_several_layers:
            results = explained[0]
        else:
            results = tuple(list(column) for column in zip(*explained, strict=True))
        return results if len(results) > 1 else results[0]

    def bias_ledger(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        *,
        call: int = -1,
    ) -> Any:
        """The bias by where it entered: above the layer, and around it.

        Args:
            inputs, target, additional_forward_args, attribute_to_layer_input, call: as for
                ``attribute``.

        Returns:
            BiasLedger: (module path, op) → contribution, as of ``AffineMap.bias_ledger``; of
            several layers a list. What passes the layer by stands at the op where it is added.

        Cost: two forward passes and one backward pass, and each op with a constant once
        more, on zeros.

        >>> import torch
        >>> from captum_ilin import LayerILIN
        >>> layer, x = torch.nn.Linear(3, 3), torch.ones(1, 3)
        >>> dict(LayerILIN(lambda x: x + layer(x), layer).bias_ledger(x, target=0))
        {Site(module='', op='add'): tensor([[1., 0., 0.]])}
        """
        request = self._request(inputs, target, additional_forward_args)
        ledgers = [
            self._map(
                Cut(layer, attribute_to_layer_input, call), request, Ledger()
            ).bias_ledger(request.target)
            for layer in self._layers
        ]
        return ledgers if self._has_several_layers else ledgers[0]

    def attribute_future(self) -> None:
        """Not offered; raises NotImplementedError."""
        raise NotOfferedError(
            "attribute_future is not implemented for LayerInstanceWiseLinearization. Call "
            "attribute instead."
        )

    def compute_convergence_delta(
        self,
        attributions: Any,
        start_point: Any,
        end_point: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """Not offered for given attributions; raises NotImplementedError.

        The shape of a layer's value does not tell which example an element belongs to; the
        map does. Ask ``attribute`` for the delta.
        """
        raise NotOfferedError(
            "compute_convergence_delta is not offered for layers: the shape of a layer's "
            "value does not tell which example an element belongs to. Call "
            "attribute(..., return_convergence_delta=True) instead."
        )

    def has_convergence_delta(self) -> bool:
        """True: ``attribute`` measures the delta against the plain network."""
        return True

    @property
    def _has_several_layers(self) -> bool:
        return isinstance(self.layer, (list, tuple))

    @property
    def _layers(self) -> list[Any]:
        return list(self.layer) if isinstance(self.layer, (list, tuple)) else [self.layer]

    def _request(self, inputs: Any, target: Any, additional_forward_args: Any) -> _Request:
        check_callable(self.forward_func)
        check_not_opaque(self.forward_func)
        check_single_device(self.forward_func, self.device_ids)
        if not self._layers:
            raise LayerTypeError(
                "layer is an empty list: nothing to explain. Pass a module of the model, or "
                "a list of them."
            )
        points = inputs if isinstance(inputs, tuple) else (inputs,)
        for point in points:
            if not isinstance(point, Tensor):
                raise InputTypeError(
                    f"inputs is or holds a {type(point).__name__}; expected tensors, of any "
                    "type. Pass what else forward_func takes in additional_forward_args."
                )
        detached = tuple(point.detach() for point in points)
        return _Request(detached, target, constants_of(additional_forward_args))

    def _explained(
        self, cut: Cut, request: _Request, *, measured: tuple[bool, bool]
    ) -> tuple[Any, ...]:
        """Attributions, then delta and bias if asked for, of one layer."""
        affine_map = self._map(cut, request, Ledger() if any(measured) else None)
        with gradients_on():
            output = select(affine_map.graph_outputs, request.target)
            weights = layer_weights(affine_map, cut, output)
            results: list[Any] = [self._attributions(weights, affine_map.leaves)]
            if any(measured):
                bias = affine_map.graph.row_bias(output)
                if measured[0]:
                    total = affine_map.graph.row_products(output) + bias
                    results.append(total - self._plain_value(request))
                if measured[1]:
                    results.append(bias)
        return tuple(results)

    def _map(self, cut: Cut, request: _Request, ledger: Ledger | None) -> AffineMap:
        return layer_map(
            cut,
            self.forward_func,
            request.inputs,
            request.constants,
            rules=self.rules,
            strict=self.strict,
            ledger=ledger,
        )

    def _attributions(
        self, weights: tuple[Tensor, ...], values: tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, ...]:
        points = tuple(value.detach() for value in values)
        terms = self.multiply_gradient_acts(weights, points)
        return terms if len(terms) > 1 else terms[0]

    def _plain_value(self, request: _Request) -> Tensor:
        """F(x) of the user's own network, without hook, cut or mode."""
        plain = partial(called, self.forward_func, request.inputs, request.constants)
        return select(plain_forward(plain, (), ()), request.target).detach()


class _Request(NamedTuple):
    """What is asked of every layer alike."""

    inputs: tuple[Tensor, ...]
    target: Any
    constants: tuple[Any, ...]


LayerILIN = LayerInstanceWiseLinearization


def _check_grad_kwargs(grad_kwargs: dict[str, Any] | None) -> None:
    refused = set(grad_kwargs or {}) - _WITHOUT_EFFECT
    if refused:
        raise NotOfferedError(
            f"grad_kwargs {sorted(refused)} are not offered: the weight is read from the "
            "frozen network, not from torch.autograd.grad of yours. Leave them out."
        )
