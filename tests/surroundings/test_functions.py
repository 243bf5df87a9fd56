"""Code that no op call announces: custom functions, backward hooks, other threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from captum_ilin import ILIN, NotExactError, RefusedOpError, UnregisteredOpWarning, linearize
from tests.fingerprint import untouched
from tests.networks import smooth_mlp

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
REPORTED = pytest.mark.filterwarnings("ignore::captum_ilin.UnregisteredOpWarning")


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64)


class SetUp(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return z.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return vector * y


class InNumpy(torch.autograd.Function):
    """Its forward is seen to be given z, and nothing of what is done with it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        y = torch.from_numpy(np.exp(z.detach().numpy()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return vector * y


class Several(torch.autograd.Function):
    """Two outputs, and an argument that is not a tensor."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, factor: float, b: Tensor) -> tuple[Tensor, Tensor]:
        ctx.factor = factor
        ctx.save_for_backward(a, b)
        return factor * a * b, a.exp()

    @staticmethod
    def backward(ctx: Any, first: Tensor, second: Tensor) -> Any:
        a, b = ctx.saved_tensors
        return first * b * ctx.factor + second * a.exp(), None, first * a * ctx.factor


class Reversed(torch.autograd.Function):
    """A view of its argument with another slope, as domain-adversarial training uses."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        return -vector


class Rounded(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z.round()

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        return vector


def several(x: Tensor) -> Tensor:
    first, second = Several.apply(x, 3.0, 2 * x)
    return first + 5 * second


FUNCTIONS = {
    "setup_context": (SetUp.apply, lambda x: (x.exp(), x.exp())),
    "in NumPy": (InNumpy.apply, lambda x: (x.exp(), x.exp())),
    "one after another": (
        lambda x: SetUp.apply(SetUp.apply(x)),
        lambda x: (x.exp().exp(), x.exp().exp() * x.exp()),
    ),
    "several outputs": (several, lambda x: (6 * x * x + 5 * x.exp(), 12 * x + 5 * x.exp())),
    "gradient reversal": (lambda x: Reversed.apply(2 * x), lambda x: (2 * x, -2 + 0 * x)),
    "straight-through": (
        lambda x: Rounded.apply(2 * x),
        lambda x: ((2 * x).round(), 2 + 0 * x),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_custom_function_is_its_tangent_and_reported(name: str, x: Tensor) -> None:
    """y0 + J (z − z0), with the J of its own backward."""
    function, value_and_slope = FUNCTIONS[name]
    with pytest.warns(UnregisteredOpWarning, match=r"No rule for: \w+Backward"):
        affine_map = linearize(function, x)
    value, slope = value_and_slope(x)
    torch.testing.assert_close(affine_map.weight(), torch.diag_embed(slope), **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), value - slope * x, **ROUNDING)
    affine_map.check()


class Once(SetUp):
    @staticmethod
    @once_differentiable
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        return vector * ctx.saved_tensors[0]


class Detached(SetUp):
    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        return vector.detach() * ctx.saved_tensors[0]


@REPORTED
@pytest.mark.parametrize("function", [Once, Detached])
def test_without_a_differentiable_backward_the_weight_is_there_and_the_bias_says_why(
    function: Any, x: Tensor
) -> None:
    affine_map = linearize(function.apply, x)
    torch.testing.assert_close(affine_map.weight(), torch.diag_embed(x.exp()), **ROUNDING)
    with pytest.raises(
        NotExactError, match=f"The intercept of {function.__name__}Backward"
    ) as e:
        affine_map.bias()
    assert "write its backward in torch ops" in str(e.value)


class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.mark_dirty(z)
        ctx.save_for_backward(z.exp_())
        return z

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        return vector * ctx.saved_tensors[0]


def whole(x: Tensor) -> Tensor:
    y = 2 * x
    Dirty.apply(y)
    return y


def part(x: Tensor) -> Tensor:
    y = 2 * x
    Dirty.apply(y[:, 0])
    return y + 0


@REPORTED
@pytest.mark.parametrize("forward", [whole, part])
def test_a_function_that_writes_into_its_argument_is_refused(forward: Any, x: Tensor) -> None:
    with pytest.raises((NotExactError, NotImplementedError)):
        linearize(forward, x).weight()


# hooks


def test_forward_hooks_run_as_usual_and_are_seen(x: Tensor) -> None:
    network, plain = smooth_mlp(), smooth_mlp()
    plain.load_state_dict(network.state_dict())
    network[0].register_forward_pre_hook(lambda module, args: (2 * args[0],))
    network[1].register_forward_hook(lambda module, args, output: output * output.sigmoid())

    def spelled_out(x: Tensor) -> Tensor:
        y = plain[1](plain[0](2 * x))
        return plain[2](y * y.sigmoid())

    found, expected = linearize(network, x), linearize(spelled_out, x)
    torch.testing.assert_close(found.weight(), expected.weight(), rtol=0, atol=0)
    torch.testing.assert_close(found.bias(), expected.bias(), rtol=0, atol=0)


class TwoInputs(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a * b.sigmoid(), b + 1


def test_backward_hooks_neither_run_nor_change_the_map(x: Tensor) -> None:
    """They see gradients, and may replace them; the map is of the forward pass."""
    network, two = smooth_mlp(), TwoInputs()
    calls: list[str] = []

    def forward(x: Tensor) -> Tensor:
        first, second = two(network(x), 2 * network(x))
        return first * second

    expected = linearize(forward, x)
    handles = [
        network.register_full_backward_hook(lambda *_: calls.append("module")),
        network[0].register_full_backward_hook(lambda m, gi, go: (3 * gi[0],)),
        network[1].register_full_backward_pre_hook(lambda m, go: (3 * go[0],)),
        two.register_full_backward_hook(lambda m, gi, go: (5 * gi[0], 7 * gi[1])),
    ]
    found = linearize(forward, x)
    torch.testing.assert_close(found.weight(), expected.weight(), rtol=0, atol=0)
    torch.testing.assert_close(found.bias(), expected.bias(), rtol=0, atol=0)
    assert calls == []
    found.check()
    network(x.clone().requires_grad_()).sum().backward()
    assert calls == ["module"]
    for handle in handles:
        handle.remove()


def test_a_tensors_backward_hook_is_not_set_on_an_active_value(x: Tensor) -> None:
    network, seen = smooth_mlp(), []

    def forward(x: Tensor) -> Tensor:
        y = network[1](network[0](x))
        handle = y.register_hook(lambda gradient: 2 * gradient)
        y.register_hook(seen.append)
        handle.remove()
        return network[2](y)

    expected = linearize(network, x).weight()
    assert torch.equal(linearize(forward, x).weight(), expected)
    assert seen == []


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
def test_legacy_backward_hooks_are_refused(x: Tensor) -> None:
    network = smooth_mlp()
    network[1].register_backward_hook(lambda *_: None)
    with (
        untouched(network, x),
        pytest.raises(NotImplementedError, match="the module '1' has a "),
    ):
        ILIN(network).attribute(x, target=1)


# threads


def in_a_thread(function: Any, *args: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


network = smooth_mlp()


def all_of_it(x: Tensor) -> Tensor:
    return in_a_thread(network, x)


def its_middle(x: Tensor) -> Tensor:
    return network[2](in_a_thread(network[1], network[0](x)))


def ending_in_a_view(x: Tensor) -> Tensor:
    return in_a_thread(lambda: torch.relu(2 * x).view(-1, 3)) + 0


def a_write(x: Tensor) -> Tensor:
    y = 2 * x
    in_a_thread(y.relu_)
    return network(y)


def a_write_through_a_view(x: Tensor) -> Tensor:
    y = 2 * x
    in_a_thread(y[:, 0].exp_)
    return network(y)


@REPORTED
@pytest.mark.parametrize(
    "forward", [all_of_it, its_middle, ending_in_a_view, a_write, a_write_through_a_view]
)
def test_work_in_another_thread_is_refused(forward: Any, x: Tensor) -> None:
    with pytest.raises(NotExactError, match="is not known, because no torch op was seen") as e:
        linearize(forward, x).weight()
    assert "work done in another thread" in str(e.value)


def test_one_model_in_several_threads_at_once() -> None:
    points = [torch.randn(3, 3, dtype=torch.float64) for _ in range(24)]

    def explain(point: Tensor) -> tuple[Tensor, ...]:
        affine_map = linearize(network, point)
        attributions, bias = ILIN(network).attribute(point, target=1, return_bias=True)
        return affine_map.weight(1), affine_map.bias(1), attributions, bias

    expected = [explain(point) for point in points]
    with untouched(network), ThreadPoolExecutor(6) as pool:
        found = list(pool.map(explain, points))
    for got, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0)


class OverwritesItsArgument(torch.autograd.Function):
    """exp(2z), computed in the memory of z, as TabNet's sparsemax shifts its argument."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        z *= 2
        y = z.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return 2 * vector * y


@REPORTED
def test_a_function_that_overwrites_its_argument_keeps_its_operating_point(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        return OverwritesItsArgument.apply(0.3 * x).sum(1)

    affine_map = linearize(forward, x)
    slope = 0.6 * (0.6 * x).exp()
    torch.testing.assert_close(affine_map.weight(), slope, rtol=1e-14, atol=0)
    affine_map.check()


@REPORTED
def test_a_value_overwritten_inside_a_function_is_not_used_again(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        z = 0.3 * x
        return (OverwritesItsArgument.apply(z) + z).sum(1)

    with pytest.raises(RefusedOpError, match="overwrites a value that depends on the inputs"):
        linearize(forward, x)
