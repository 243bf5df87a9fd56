"""Whatever mode the caller is in, the map is the same, and the caller's mode is left alone."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from captum_ilin import (
    ILIN,
    InputTypeError,
    RefusedOpError,
    UnusedInputError,
    linearize,
)
from tests.fingerprint import untouched
from tests.networks import smooth_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
EVERYTHING = {"return_convergence_delta": True, "return_bias": True}


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64)


def map_of(forward: Any, x: Tensor) -> tuple[Any, ...]:
    affine_map = linearize(forward, x)
    affine_map.check()
    attributions = ILIN(forward).attribute(x, target=1, **EVERYTHING)
    return affine_map.weight(), affine_map.bias(), *attributions


# compiled code


def gated(x: Tensor) -> Tensor:
    return F.silu(x) * torch.sigmoid(2 * x)


def compiled_module(**how: Any) -> tuple[Any, Any]:
    network = smooth_mlp()
    return torch.compile(network, **how), network


def compiled_function(**how: Any) -> tuple[Any, Any]:
    return torch.compile(gated, **how), gated


def compiled_part(**how: Any) -> tuple[Any, Any]:
    first, last = smooth_mlp(), nn.Linear(4, 2).double()
    return nn.Sequential(torch.compile(first, **how), last), nn.Sequential(first, last)


def compiled_in_place(**how: Any) -> tuple[Any, Any]:
    network, plain = smooth_mlp(), smooth_mlp()
    plain.load_state_dict(network.state_dict())
    how.pop("fullgraph", None)  # which PyTorch refuses for the forward of its own Sequential
    network.compile(**how)
    return network, plain


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # the compiler's own
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize(
    "how",
    [
        {"backend": "eager"},
        {"backend": "aot_eager"},
        {"backend": "aot_eager", "fullgraph": True},
        {"backend": "eager", "dynamic": True},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "compiled_kind", [compiled_module, compiled_function, compiled_part, compiled_in_place]
)
def test_compiled_code_is_seen_through_and_still_works(
    compiled_kind: Callable[..., Any], how: dict[str, Any], warm: bool, x: Tensor
) -> None:
    compiled, plain = compiled_kind(**how)
    if warm:
        compiled(x)
        compiled(x.clone().requires_grad_()).sum().backward()
    expected, found = map_of(plain, x), map_of(compiled, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(compiled(x), plain(x))
    point = x.clone().requires_grad_()
    compiled(point).sum().backward()
    assert point.grad is not None


# gradients off


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients(mode: Any, x: Tensor) -> None:
    network = smooth_mlp()
    expected = map_of(network, x)
    with untouched(network), mode():
        made_inside = x * 1
        assert made_inside.is_inference() == (mode is torch.inference_mode)
        found = map_of(network, made_inside)
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_model_made_under_inference_mode(where: str, x: Tensor) -> None:
    """Autograd refuses to save its parameters; the run saves copies."""
    plain = smooth_mlp()
    with torch.inference_mode():
        network = smooth_mlp()
        network.load_state_dict(plain.state_dict())
        point = x * 1
    expected = map_of(plain, x)
    with torch.inference_mode() if where == "inside" else nullcontext():
        torch.testing.assert_close(map_of(network, point), expected, **ROUNDING)
    assert all(parameter.is_inference() for parameter in network.parameters())


NETWORK = smooth_mlp()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_forward_function_that_turns_gradients_off_is_refused(mode: Any, x: Tensor) -> None:
    @mode()
    def forward(x: Tensor) -> Tensor:
        return NETWORK(x)

    for ask in (lambda: ILIN(forward).attribute(x, 1), lambda: linearize(forward, x).weight(1)):
        with pytest.raises(UnusedInputError, match="computed under no_grad or inference_mode"):
            ask()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_part_computed_without_gradients_is_constant(mode: Any, x: Tensor) -> None:
    """As in plain autograd, and as the words in the forward function say."""

    def forward(x: Tensor) -> Tensor:
        with mode():
            size = x.norm(dim=1, keepdim=True) + torch.special.airy_ai(x).square()
        y = x * size + size
        y += size
        return y

    size = x.norm(dim=1, keepdim=True) + torch.special.airy_ai(x).square()
    affine_map = linearize(forward, x, strict=True)
    torch.testing.assert_close(affine_map.weight(), torch.diag_embed(size), **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), 2 * size, **ROUNDING)
    affine_map.check()


# other modes


class Passing(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


class Dispatching(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


MODES: dict[str, Callable[[], Any]] = {
    "a function mode": Passing,
    "a dispatch mode": Dispatching,
    "FLOP counter": lambda: FlopCounterMode(display=False),
    "profiler": lambda: torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU]
    ),
    "meta as default device": lambda: torch.device("meta"),
    "saved tensors on the CPU": torch.autograd.graph.save_on_cpu,
    "saved tensors' hooks off": lambda: torch.autograd.graph.disable_saved_tensors_hooks("no"),
    "one backward thread": lambda: torch.autograd.set_multithreading_enabled(False),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
@pytest.mark.filterwarnings("ignore:.*profiler:UserWarning")
@pytest.mark.parametrize("name", MODES)
def test_modes_around_the_call_change_nothing(name: str, x: Tensor) -> None:
    network = smooth_mlp()
    expected = map_of(network, x)
    with MODES[name]():
        found = map_of(network, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_defaults_of_the_caller_change_nothing(x: Tensor) -> None:
    network = smooth_mlp()
    expected = map_of(network, x)
    try:
        torch.set_default_dtype(torch.float16)
        torch.set_default_device("meta")
        torch.use_deterministic_algorithms(True)
        found = map_of(network, x)
        several = ILIN(network).attribute(x, target=[0, 1, 2, 3])
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(several, ILIN(network).attribute(x, target=[0, 1, 2, 3]))


class ReluForGelu(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return torch.relu(args[0]) if func is F.gelu else func(*args, **(kwargs or {}))


@pytest.mark.parametrize("where", ["around", "inside"])
def test_a_mode_that_replaces_ops_is_part_of_the_function(where: str, x: Tensor) -> None:
    network = smooth_mlp()

    def inside(x: Tensor) -> Tensor:
        with ReluForGelu():
            return network(x)

    expected = map_of(nn.Sequential(network[0], nn.ReLU(), network[2]), x)
    with ReluForGelu() if where == "around" else nullcontext():
        found = map_of(network if where == "around" else inside, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


# inputs of other kinds


@pytest.mark.parametrize(
    ("point", "match"),
    [
        (torch.empty(2, 3, device="meta"), "on the meta device, without values.*real device"),
        (torch.zeros(2, 3).to_sparse(), None),
    ],
    ids=["meta", "sparse"],
)
def test_inputs_without_dense_numbers(point: Tensor, match: str | None) -> None:
    if match is None:
        linearize(lambda x: x.to_dense() + 1, point).bias()
        return
    with pytest.raises(InputTypeError, match=match):
        linearize(lambda x: x, point)


@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
def test_nested_inputs_are_refused() -> None:
    point = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(
        InputTypeError, match=r"a tensor nested; expected a dense tensor.*Pad it"
    ):
        linearize(lambda x: x, point)


# subclasses of Tensor


class Plain(Tensor):
    pass


class Gated(Tensor):
    """Its linear layers are followed by a gate that no caller wrote."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})
        return result * torch.sigmoid(result) if func is F.linear else result


def spelled_out(network: nn.Sequential, x: Tensor) -> Tensor:
    y = network[0](x)
    z = network[2](network[1](y * torch.sigmoid(y)))
    return z * torch.sigmoid(z)  # what was made from a Gated is one


def test_what_a_subclass_defines_is_frozen_op_by_op(x: Tensor) -> None:
    network = smooth_mlp()
    expected = linearize(lambda x: spelled_out(network, x), x)
    network[0].weight = nn.Parameter(network[0].weight.detach().as_subclass(Gated))
    found = linearize(network, x)
    found.check()
    torch.testing.assert_close(
        found.weight().as_subclass(Tensor), expected.weight(), rtol=0, atol=0
    )


def test_an_input_of_a_subclass_without_a_meaning_of_its_own(x: Tensor) -> None:
    network = smooth_mlp()
    found = linearize(network, x.as_subclass(Plain)).weight()
    torch.testing.assert_close(found.as_subclass(Tensor), linearize(network, x).weight())


# transforms of torch.func


def _slope(x: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(NETWORK(x).sum(), x, create_graph=True)
    return slope


TRANSFORMS = {
    "vmap": lambda x: torch.func.vmap(NETWORK)(x),
    "vmap ending in a view": lambda x: torch.func.vmap(lambda r: r.relu().unsqueeze(0))(x)[
        :, 0
    ],
    "vmap over something else": lambda x: torch.func.vmap(lambda w: x * w)(
        torch.ones(2, 3).double()
    ).sum(0),
    "jvp": lambda x: torch.func.jvp(NETWORK, (x,), (torch.ones_like(x),))[1],
}
DERIVATIVES = {
    "grad": lambda x: torch.func.grad(lambda z: NETWORK(z).sum())(x),
    "vjp": lambda x: torch.func.vjp(NETWORK, x)[0],
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # of torch.func
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_the_inputs_are_refused(name: str, x: Tensor) -> None:
    with pytest.raises(RefusedOpError, match=r"inside a transform of torch.func \(vmap, grad"):
        linearize(TRANSFORMS[name], x)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_by_the_inputs_are_refused(name: str, x: Tensor) -> None:
    with pytest.raises((RefusedOpError, ArithmeticError), match=r"torch\.func"):
        linearize(DERIVATIVES[name], x)


@pytest.mark.parametrize(
    "forward", [_slope, lambda x: NETWORK(x).sum().backward()], ids=["grad", "backward"]
)
def test_differentiating_inside_the_forward_function_is_refused(
    forward: Any, x: Tensor
) -> None:
    with pytest.raises(RefusedOpError, match="it differentiates inside the forward function"):
        linearize(forward, x)


def test_transforms_of_constants_are_constants(x: Tensor) -> None:
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def forward(x: Tensor) -> Tensor:
        slope = torch.func.grad(lambda w: w.pow(3).sum())(weight)
        return x * slope + torch.func.vmap(torch.exp)(weight)

    affine_map = linearize(forward, x)
    slope = (3 * weight**2).expand(4, 3)
    torch.testing.assert_close(affine_map.weight(), torch.diag_embed(slope), **ROUNDING)
    affine_map.check()


def test_functional_call_explains_the_parameters_it_is_given(x: Tensor) -> None:
    network, other = smooth_mlp(), smooth_mlp()
    parameters = dict(other.named_parameters())
    found = map_of(lambda x: torch.func.functional_call(network, parameters, (x,)), x)
    torch.testing.assert_close(found, map_of(other, x), rtol=0, atol=0)
