"""The Captum contract of ``InstanceWiseLinearization``.

Expected values come from products of the network's own matrices, with no autograd in them,
on random weights: with all targets alike, explaining the wrong one would go unseen.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from captum._utils.gradient import construct_neuron_grad_fn
from captum.attr import GradientAttribution, InputXGradient
from torch import Tensor, nn

from captum_ilin import ILIN, InstanceWiseLinearization, linearize
from tests.networks import TwoInputs, dense_relu_map, pick, relu_mlp, smooth_mlp

BATCH, FEATURES, CLASSES = 4, 3, 5
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}  # float64, sums of some ten products of order one


@pytest.fixture
def network() -> nn.Sequential:
    return relu_mlp(FEATURES, 6, 7, CLASSES)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, FEATURES, dtype=torch.float64)


def test_is_a_captum_gradient_method() -> None:
    assert issubclass(InstanceWiseLinearization, GradientAttribution)
    assert ILIN is InstanceWiseLinearization
    assert ILIN(nn.Linear(2, 1)).get_name() == "Instance Wise Linearization"


def test_arguments_are_in_the_order_of_input_x_gradient() -> None:
    ours = list(inspect.signature(ILIN.attribute).parameters.values())
    captums = list(inspect.signature(InputXGradient.attribute).parameters)
    assert [p.name for p in ours[: len(captums)]] == captums
    assert ours[len(captums)].name == "return_convergence_delta"
    assert ours[-1].name == "return_bias"
    assert ours[-1].kind is inspect.Parameter.KEYWORD_ONLY


def test_return_bias_is_keyword_only(network: nn.Module, x: Tensor) -> None:
    with pytest.raises(TypeError, match="positional arguments"):
        ILIN(network).attribute(x, 0, None, True, True)


def test_wrapped_method_is_reachable(network: nn.Module, x: Tensor) -> None:
    """NoiseTunnel and TCAV call ``attribute.__wrapped__`` with the method as first argument."""
    method = ILIN(network)
    assert torch.equal(
        ILIN.attribute.__wrapped__(method, x, target=1), method.attribute(x, target=1)
    )


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_returns_attributions_then_delta_then_bias(
    network: nn.Sequential, x: Tensor, delta: bool, bias: bool
) -> None:
    slope, intercept = dense_relu_map(network, x)
    expected = [slope[:, 2] * x]
    if delta:
        expected.append(torch.zeros(BATCH, dtype=x.dtype))
    if bias:
        expected.append(intercept[:, 2])
    returned = ILIN(network).attribute(
        x, target=2, return_convergence_delta=delta, return_bias=bias
    )
    returned = returned if delta or bias else (returned,)
    assert isinstance(returned, tuple)
    torch.testing.assert_close(list(returned), expected, **ROUNDING)


def test_positional_delta_flag(network: nn.Module, x: Tensor) -> None:
    attributions, delta = ILIN(network).attribute(x, 1, None, True)
    assert attributions.shape == x.shape
    assert delta.shape == (BATCH,)


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (3, [3, 3, 3, 3]),
        (-1, [4, 4, 4, 4]),
        ((3,), [3, 3, 3, 3]),
        (torch.tensor(2), [2, 2, 2, 2]),
        (torch.tensor([2]), [2, 2, 2, 2]),
        (torch.tensor([4, 0, 1, 3]), [4, 0, 1, 3]),
        (torch.tensor([4, 0, 1, 3], dtype=torch.int32), [4, 0, 1, 3]),
        ([4, 0, 1, 3], [4, 0, 1, 3]),
        ([torch.tensor(4), torch.tensor(0), torch.tensor(1), torch.tensor(3)], [4, 0, 1, 3]),
        ([(4,), (0,), (1,), (3,)], [4, 0, 1, 3]),
        (np.int64(3), [3, 3, 3, 3]),
        (list(np.array([4, 0, 1, 3])), [4, 0, 1, 3]),
    ],
)
def test_each_example_is_explained_at_its_own_target(
    network: nn.Sequential, x: Tensor, target: Any, classes: list[int]
) -> None:
    slope, intercept = dense_relu_map(network, x)
    attributions, delta, bias = ILIN(network).attribute(
        x, target, return_convergence_delta=True, return_bias=True
    )
    torch.testing.assert_close(attributions, pick(slope, classes) * x, **ROUNDING)
    torch.testing.assert_close(bias, pick(intercept, classes), **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


@pytest.mark.parametrize(
    ("target", "classes"),
    [((1, 1), [3, 3, 3, 3]), ([(0, 0), (1, 1), (0, 1), (2, 0)], [0, 3, 1, 4])],
)
def test_tuples_choose_among_outputs_of_several_dimensions(
    x: Tensor, target: Any, classes: list[int]
) -> None:
    network = relu_mlp(FEATURES, 6, 6)
    slope, _ = dense_relu_map(network, x)
    attributions = ILIN(nn.Sequential(network, nn.Unflatten(1, (3, 2)))).attribute(x, target)
    torch.testing.assert_close(attributions, pick(slope, classes) * x, **ROUNDING)


@pytest.mark.parametrize("squeeze", [True, False], ids=["(batch,)", "(batch, 1)"])
def test_no_target_is_needed_for_one_output(x: Tensor, squeeze: bool) -> None:
    network = relu_mlp(FEATURES, 6, 1)
    slope, intercept = dense_relu_map(network, x)

    def forward(x: Tensor) -> Tensor:
        return network(x).squeeze(1) if squeeze else network(x)

    attributions, bias = ILIN(forward).attribute(x, return_bias=True)
    torch.testing.assert_close(attributions, slope[:, 0] * x, **ROUNDING)
    torch.testing.assert_close(bias, intercept[:, 0], **ROUNDING)


def test_tensor_in_tensor_out_and_tuple_in_tuple_out(network: nn.Module, x: Tensor) -> None:
    alone = ILIN(network).attribute(x, target=1)
    together = ILIN(network).attribute((x,), target=1)
    assert isinstance(alone, Tensor)
    assert isinstance(together, tuple)
    assert len(together) == 1
    assert torch.equal(alone, together[0])


def test_several_inputs_share_one_bias() -> None:
    network, a = TwoInputs().double(), torch.randn(BATCH, 3, dtype=torch.float64)
    b = torch.randn(BATCH, 2, dtype=torch.float64)
    (for_a, for_b), delta, bias = ILIN(network).attribute(
        (a, b), target=2, return_convergence_delta=True, return_bias=True
    )
    gate = (network.left(a) + network.right(b) > 0).double()
    row = gate * network.head.weight[2]
    torch.testing.assert_close(for_a, (row @ network.left.weight) * a, **ROUNDING)
    torch.testing.assert_close(for_b, (row @ network.right.weight) * b, **ROUNDING)
    shift = row @ (network.left.bias + network.right.bias) + network.head.bias[2]
    torch.testing.assert_close(bias, shift, **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_additional_arguments_are_constants() -> None:
    network, a = TwoInputs().double(), torch.randn(BATCH, 3, dtype=torch.float64)
    b = torch.randn(BATCH, 2, dtype=torch.float64)
    shift = torch.randn(BATCH, 3, dtype=torch.float64, requires_grad=True)
    plain, bias = ILIN(network).attribute((a, b), 1, return_bias=True)
    shifted, delta, shifted_bias = ILIN(network).attribute(
        (a, b),
        target=1,
        additional_forward_args=(shift, 3),
        return_convergence_delta=True,
        return_bias=True,
    )
    for with_args, without in zip(shifted, plain, strict=True):
        torch.testing.assert_close(with_args, 3 * without, **ROUNDING)
    torch.testing.assert_close(shifted_bias, 3 * bias + shift[:, 1].detach(), **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)
    assert shift.grad is None
    assert not shifted_bias.requires_grad


def test_a_single_additional_argument_needs_no_tuple(network: nn.Module, x: Tensor) -> None:
    factor = torch.tensor(2.0, dtype=torch.float64)
    doubled = ILIN(lambda x, factor: network(x) * factor).attribute(x, 1, factor)
    torch.testing.assert_close(doubled, 2 * ILIN(network).attribute(x, 1), **ROUNDING)


def test_without_multiplication_the_weight_is_returned(
    network: nn.Sequential, x: Tensor
) -> None:
    method = ILIN(network, multiply_by_inputs=False)
    slope, intercept = dense_relu_map(network, x)
    weight, delta, bias = method.attribute(
        x, target=0, return_convergence_delta=True, return_bias=True
    )
    torch.testing.assert_close(weight, slope[:, 0], **ROUNDING)
    torch.testing.assert_close(bias, intercept[:, 0], **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_says_what_it_is(network: nn.Module) -> None:
    assert ILIN(network).multiplies_by_inputs is True
    assert ILIN(network, multiply_by_inputs=False).multiplies_by_inputs is False
    assert ILIN(network).has_convergence_delta() is True


def test_attribute_future_is_not_offered(network: nn.Module) -> None:
    with pytest.raises(NotImplementedError, match="attribute_future is not implemented"):
        ILIN(network).attribute_future()


def test_convergence_delta_has_captums_names(network: nn.Module, x: Tensor) -> None:
    method = ILIN(network)
    ours = list(inspect.signature(method.compute_convergence_delta).parameters)
    captums = inspect.signature(GradientAttribution.compute_convergence_delta).parameters
    assert ["self", *ours] == list(captums)
    delta = method.compute_convergence_delta(
        attributions=method.attribute(x, target=3),
        start_point=None,
        end_point=x,
        target=3,
        additional_forward_args=None,
    )
    torch.testing.assert_close(delta, torch.zeros(BATCH, dtype=x.dtype), **ROUNDING)


def test_convergence_delta_measures_what_is_missing(network: nn.Module, x: Tensor) -> None:
    """A change of the attributions shows in full: nothing is defined away."""
    method = ILIN(network)
    changed = method.attribute(x, target=3)
    changed[1, 0] += 0.25
    delta = method.compute_convergence_delta(changed, None, x, 3)
    expected = torch.tensor([0, 0.25, 0, 0], dtype=x.dtype)
    torch.testing.assert_close(delta, expected, **ROUNDING)


def test_delta_is_measured_against_the_plain_network(x: Tensor) -> None:
    """A network that answers 0.5 more on every later call must show it."""
    network, calls = relu_mlp(FEATURES, 4, 2), []

    def drifting(x: Tensor) -> Tensor:
        calls.append(None)
        return network(x) + 0.5 * (len(calls) - 1)

    _, delta, bias = ILIN(drifting).attribute(
        x, target=0, return_convergence_delta=True, return_bias=True
    )
    _, intercept = dense_relu_map(network, x)
    assert len(calls) == 3  # weight, bias, plain
    torch.testing.assert_close(bias, intercept[:, 0] + 0.5, **ROUNDING)
    torch.testing.assert_close(delta, torch.full_like(delta, -0.5), **ROUNDING)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients(network: nn.Module, x: Tensor, caller: Any) -> None:
    expected = ILIN(network).attribute(x, 2, return_bias=True)
    with caller():
        attributions, delta, bias = ILIN(network).attribute(
            x.clone(), target=2, return_convergence_delta=True, return_bias=True
        )
        assert not torch.is_grad_enabled()
    torch.testing.assert_close((attributions, bias), expected, **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_nothing_returned_carries_a_graph(network: nn.Module, x: Tensor) -> None:
    results = ILIN(network).attribute(
        x.requires_grad_(), 2, return_convergence_delta=True, return_bias=True
    )
    assert not any(result.requires_grad for result in results)


def test_results_do_not_share_memory_with_the_inputs(x: Tensor) -> None:
    identity = ILIN(lambda x: x, multiply_by_inputs=False)
    before = x.clone()
    identity.attribute(x, target=0).zero_()
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)]
)
def test_dtype_is_kept(dtype: torch.dtype, tolerance: float) -> None:
    network, x = smooth_mlp().to(dtype), torch.randn(BATCH, 3, dtype=dtype)
    attributions, delta, bias = ILIN(network).attribute(
        x, target=1, return_convergence_delta=True, return_bias=True
    )
    assert {attributions.dtype, delta.dtype, bias.dtype} == {dtype}
    total = attributions.sum(1) + bias
    torch.testing.assert_close(total, network(x)[:, 1].detach(), rtol=0, atol=tolerance)
    torch.testing.assert_close(delta, total - network(x)[:, 1].detach(), rtol=0, atol=tolerance)


def test_a_forward_function_of_no_arguments_is_refused(network: nn.Module, x: Tensor) -> None:
    """Captum calls it with none, and reads gradients of the closed-over x; ours are copies."""
    with pytest.raises(TypeError, match="forward_func takes no arguments, so the inputs"):
        ILIN(lambda: network(x)).attribute(x, target=0)


def test_forward_func_replaced_after_construction_is_honoured(
    network: nn.Module, x: Tensor
) -> None:
    """Captum's LLM wrappers do this on a copy of the method."""
    method = ILIN(network)
    method.forward_func = lambda x: 3 * network(x)
    attributions, delta, bias = method.attribute(
        x, target=0, return_convergence_delta=True, return_bias=True
    )
    plain, plain_bias = ILIN(network).attribute(x, target=0, return_bias=True)
    torch.testing.assert_close(attributions, 3 * plain, **ROUNDING)
    torch.testing.assert_close(bias, 3 * plain_bias, **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_model_changed_between_calls_is_read_again(network: nn.Sequential, x: Tensor) -> None:
    method = ILIN(network)
    before = method.attribute(x, target=0)
    with torch.no_grad():
        network[-1].weight.mul_(2)
    torch.testing.assert_close(method.attribute(x, target=0), 2 * before, **ROUNDING)


@pytest.mark.parametrize("attribute_to_neuron_input", [False, True])
def test_gradient_func_replaced_gives_the_neuron_variant(
    x: Tensor, attribute_to_neuron_input: bool
) -> None:
    """As Captum's neuron methods do it: the same class, explaining a hidden unit."""
    network = relu_mlp(FEATURES, 6, 7, CLASSES)
    layer = network[3] if attribute_to_neuron_input else network[2]
    method = ILIN(network)
    method.gradient_func = construct_neuron_grad_fn(
        layer, (2,), attribute_to_neuron_input=attribute_to_neuron_input
    )
    slope, _ = dense_relu_map(network[:3], x)
    torch.testing.assert_close(method.attribute(x), slope[:, 2] * x, **ROUNDING)


def test_neuron_variant_is_frozen_too(x: Tensor) -> None:
    """A hidden unit behind a GELU: W from ``linearize`` of the cut network, not a gradient."""
    network = smooth_mlp()
    method = ILIN(network)
    method.gradient_func = construct_neuron_grad_fn(network[1], (1,))
    expected = linearize(network[:2], x).weight(1) * x
    torch.testing.assert_close(method.attribute(x), expected, **ROUNDING)
    plain = InputXGradient(network[:2]).attribute(x.requires_grad_(), target=1)
    assert (plain - expected).abs().max() > 1e-3


@pytest.mark.parametrize("asked", ["return_bias", "return_convergence_delta"])
def test_neuron_variant_refuses_the_output_s_bias(
    network: nn.Sequential, x: Tensor, asked: str
) -> None:
    method = ILIN(network)
    method.gradient_func = construct_neuron_grad_fn(network[1], (2,))
    with pytest.raises(NotImplementedError, match="gradient_func has been replaced"):
        method.attribute(x, **{asked: True})


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_rows_do_not_see_each_other(network: nn.Module, rows: int) -> None:
    x = torch.randn(rows, FEATURES, dtype=torch.float64)
    together = ILIN(network).attribute(x, target=1)
    alone = torch.cat([ILIN(network).attribute(row[None], target=1) for row in x])
    torch.testing.assert_close(together, alone, **ROUNDING)
