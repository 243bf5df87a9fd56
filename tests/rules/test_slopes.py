"""Ops whose slope is spelled out: their derivatives of every order and mode.

Against finite differences, by PyTorch's own checks, and against the op's own autograd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.gradcheck import GradcheckError
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ilin import DEFAULT_RULES, linearize
from captum_ilin.slope import Slope, sloped

if TYPE_CHECKING:
    from collections.abc import Callable


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def convolution(op: Any, dims: int, weight: tuple[int, int], **options: Any) -> Any:
    sides, bias = (5, 4, 3)[:dims], options.pop("bias", None)
    kernel = values(*weight, *(3, 2, 2)[:dims])

    def make() -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor]:
        rule = DEFAULT_RULES[op].alone
        assert rule is not None
        return (
            lambda z: rule.function(z, kernel, bias, **options),
            lambda z: op(z, kernel, bias, **options),
            values(1 if dims == 3 else 2, 4, *sides),
        )

    return make


def norm() -> Any:
    mean, variance, weight, bias = values(4), values(4).exp(), values(4), values(4)

    def run(op: Any) -> Callable[[Tensor], Tensor]:
        return lambda z: op(z, mean, variance, weight, bias, False)

    return run(DEFAULT_RULES[F.batch_norm].function), run(F.batch_norm), values(2, 4, 5)


CASES: dict[str, Any] = {
    "conv1d": convolution(F.conv1d, 1, (3, 4), bias=values(3), padding="same", dilation=2),
    "conv2d": convolution(F.conv2d, 2, (3, 4), bias=values(3), stride=2, padding=(2, 1)),
    "depthwise": convolution(F.conv2d, 2, (8, 1), groups=4, padding="valid"),
    "conv3d": convolution(F.conv3d, 3, (2, 2), groups=2, padding=1, dilation=(2, 1, 1)),
    "transposed 1d": convolution(F.conv_transpose1d, 1, (4, 3), bias=values(3), dilation=2),
    "transposed 2d": convolution(
        *(F.conv_transpose2d, 2, (4, 1)), stride=2, padding=1, output_padding=(1, 0), groups=2
    ),
    "transposed 3d": convolution(F.conv_transpose3d, 3, (4, 2), stride=(1, 2, 1)),
    "general": convolution(
        *(torch.convolution, 2, (3, 4)),
        stride=[2],
        padding=[1, 0],
        dilation=[1],
        transposed=False,
        output_padding=[0],
        groups=1,
    ),
    "batch norm": norm,
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return CASES[request.param]()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own decompositions
def test_derivatives_are_finite_differences(case: Any) -> None:
    """First and second, backward and forward, one by one and batched."""
    rule, _, z = case
    z.requires_grad_()
    assert gradcheck(rule, z, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(rule, z, check_fwd_over_rev=True, check_batched_grad=True)


def test_the_value_has_the_ops_own_bits(case: Any) -> None:
    rule, op, z = case
    assert torch.equal(rule(z.requires_grad_()), op(z))


def test_products_of_every_order_are_the_ops_own(case: Any) -> None:
    """u ↦ Dᵀu ↦ D t ↦ Dᵀu, each the derivative of the one before."""
    rule, op, z = case
    found, expected = (_chain(function, z.detach().clone()) for function in (rule, op))
    for ours, own in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, own, rtol=1e-12, atol=1e-12)


def _chain(function: Callable[[Tensor], Tensor], z: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)

    def like(tensor: Tensor) -> Tensor:
        draw = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        return draw.requires_grad_()

    y = function(z.requires_grad_())
    u, t = like(y), like(z)
    (pulled,) = torch.autograd.grad(y, z, u, create_graph=True)
    (pushed,) = torch.autograd.grad(pulled, u, t, create_graph=True)
    (pulled_again,) = torch.autograd.grad(pushed, t, u.detach().clone(), create_graph=True)
    return [pulled, pushed, pulled_again]


def test_rows_are_mapped_together(case: Any) -> None:
    """By both of PyTorch's vmaps, with and without a graph of the result."""
    rule, op, z = case
    y = rule(z.requires_grad_())
    vectors = torch.randn(3, *y.shape, dtype=y.dtype)
    each = [torch.autograd.grad(op(z), z, vector)[0] for vector in vectors]

    def pulled(vector: Tensor, *, create_graph: bool = False) -> Tensor:
        return torch.autograd.grad(y, z, vector, retain_graph=True, create_graph=create_graph)[
            0
        ]

    for create_graph in (False, True):
        together = torch.func.vmap(lambda u, c=create_graph: pulled(u, create_graph=c))(vectors)
        torch.testing.assert_close(together, torch.stack(each), rtol=1e-12, atol=1e-12)
    (batched,) = torch.autograd.grad(y, z, vectors, retain_graph=True, is_grads_batched=True)
    torch.testing.assert_close(batched, torch.stack(each), rtol=1e-12, atol=1e-12)


class Counting(TorchDispatchMode):
    """Counts the convolutions, and those of PyTorch's second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
        if "convolution" in str(func):
            self.calls.append(func._opname)
        return func(*args, **(kwargs or {}))


def network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU6()),
        *(nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 5, 1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ).eval()


def test_products_take_one_convolution_for_each_of_the_network() -> None:
    x = torch.randn(1, 3, 12, 12)
    affine_map = linearize(network(), x)
    W = affine_map.operator()
    W @ x  # records
    with Counting() as forward:
        W @ x
    with Counting() as backward:
        affine_map.outputs @ W
    assert forward.calls == ["convolution"] * 3
    assert backward.calls == ["convolution_backward"] * 3


def test_a_direction_takes_two_convolutions_for_each_of_the_network() -> None:
    x = torch.randn(1, 3, 12, 12)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8))
    region = linearize(model, x).region()
    with Counting() as counting:
        region.exit(torch.ones_like(x))
    assert counting.calls == ["convolution"] * 4


def test_neither_convolution_nor_norm_keeps_its_input() -> None:
    """Only kernels and scales are kept, so that a map costs less memory than a gradient."""
    kept: list[int] = []
    x = torch.randn(1, 3, 12, 12)
    for op, *arguments in (
        (F.conv2d, torch.randn(8, 3, 3, 3)),
        (F.batch_norm, torch.zeros(3), torch.ones(3)),
    ):
        output = linearize(lambda x, op=op, arguments=arguments: op(x, *arguments), x)
        node = output.graph_outputs.grad_fn
        kept += [tensor.numel() for tensor in node.saved_tensors]
    assert kept == [8 * 3 * 3 * 3, 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_the_slope_is_the_ops_own(dtype: torch.dtype) -> None:
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 6, 6)
    with torch.autocast("cpu", dtype):
        affine_map = linearize(lambda x: layer(x).flatten(1), x)
        leaf = x.clone().requires_grad_()
        plain = layer(leaf).flatten(1)
    (expected,) = torch.autograd.grad(plain[:, 7].sum(), leaf)
    assert torch.equal(affine_map.outputs, plain)
    weight = affine_map.weight(7)
    assert isinstance(weight, Tensor)
    assert weight.dtype is torch.float32
    torch.testing.assert_close(weight, expected, rtol=0, atol=0)
    W = affine_map.operator()
    torch.testing.assert_close(
        (W @ x)[:, 7].float(), (weight * x).sum((1, 2, 3)), rtol=0.02, atol=0.02
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # by PyTorch
@pytest.mark.parametrize("convert", ["channels last", "without a batch", "uneven same"])
def test_other_layouts(convert: str) -> None:
    x, kernel, options = values(1, 3, 7, 6), values(4, 3, 3, 3), {}
    if convert == "channels last":
        x = x.to(memory_format=torch.channels_last)
    if convert == "uneven same":
        kernel, options = values(4, 3, 4, 2), {"padding": "same"}

    def forward(x: Tensor) -> Tensor:
        z = x[0] if convert == "without a batch" else x
        return F.conv2d(z, kernel, **options).reshape(1, -1)

    J = torch.autograd.functional.jacobian(forward, x)[0]
    affine_map = linearize(forward, x)
    torch.testing.assert_close(affine_map.weight()[0], J[:, 0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(affine_map.operator() @ x, forward(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "wide"}, "Invalid padding string: 'wide'"),
        ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided"),
        ({"stride": (1, 1, 1)}, "expected stride to be a single integer value or a list of 2"),
    ],
)
def test_options_that_the_op_refuses(options: dict[str, Any], message: str) -> None:
    kernel = torch.randn(4, 3, 3, 3)
    with pytest.raises((RuntimeError, ValueError)) as plain:
        F.conv2d(torch.randn(1, 3, 6, 6), kernel, **options)
    with pytest.raises(type(plain.value)) as ours:
        linearize(lambda x: F.conv2d(x, kernel, **options), torch.randn(1, 3, 6, 6))
    assert message in str(plain.value)
    assert str(ours.value).splitlines()[0] == str(plain.value).splitlines()[0]


def test_a_kernel_overwritten_after_the_run_is_an_error() -> None:
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 6, 6)
    affine_map = linearize(lambda x: layer(x).flatten(1), x)
    with torch.no_grad():
        layer.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        affine_map.weight(0)


def test_a_wrong_transpose_is_caught() -> None:
    """What the checks above would say of a slope whose two products do not belong together."""

    def wrong(z: Tensor) -> Tensor:
        slope = Slope(lambda t: 2 * t, lambda u: 3 * u, ())
        return sloped(lambda z: (2 * z, slope), z)

    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradcheck(wrong, values(3).requires_grad_())
