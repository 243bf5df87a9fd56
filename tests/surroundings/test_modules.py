"""Wrappers and special modules: seen through, or refused by name."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from captum_ilin import (
    ILIN,
    ForwardFunctionError,
    NotOfferedError,
    OpaqueModuleError,
    RefusedOpError,
    in_double,
    linearize,
)
from tests.fingerprint import untouched
from tests.networks import smooth_mlp
from tests.surroundings.test_functions import SetUp

EXACT = {"rtol": 0, "atol": 0}


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64)


def map_of(forward: Any, x: Tensor) -> tuple[Any, ...]:
    affine_map = linearize(forward, x)
    affine_map.check()
    return affine_map.weight(), affine_map.bias()


# activation checkpointing

CHECKPOINTED = {
    "one part": lambda network, x: checkpoint(network, x, use_reentrant=False),
    "in segments": lambda network, x: checkpoint_sequential(network, 2, x, use_reentrant=False),
    "nested": lambda network, x: checkpoint(
        lambda z: network[2](checkpoint(network[:2], z, use_reentrant=False)),
        x,
        use_reentrant=False,
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpoints_are_run_plainly(name: str, x: Tensor) -> None:
    """Nothing is computed again: what a frozen run saves is kept."""
    network, calls = smooth_mlp(), []
    network[1].register_forward_hook(lambda *_: calls.append(1))
    expected = map_of(network, x)
    found = map_of(lambda x: CHECKPOINTED[name](network, x), x)
    torch.testing.assert_close(found, expected, **EXACT)
    calls.clear()
    linearize(lambda x: CHECKPOINTED[name](network, x), x).weight(1)
    assert len(calls) == 1


def test_a_checkpoint_beside_the_frozen_run_still_saves_memory(x: Tensor) -> None:
    network, calls = smooth_mlp(), []
    linearize(lambda x: checkpoint(network, x, use_reentrant=False), x).weight(1)
    network[1].register_forward_hook(lambda *_: calls.append(1))
    checkpoint(network, x.clone().requires_grad_(), use_reentrant=False).sum().backward()
    assert len(calls) == 2


def test_reentrant_checkpoints_are_refused(x: Tensor) -> None:
    network = smooth_mlp()
    with untouched(network, x), pytest.raises(RefusedOpError, match="use_reentrant=True") as e:
        linearize(lambda x: checkpoint(network, x, use_reentrant=True), x)
    assert "pass use_reentrant=False, or turn checkpointing off" in str(e.value)


@pytest.mark.filterwarnings("ignore::captum_ilin.UnregisteredOpWarning")
def test_a_custom_function_in_a_checkpoint_is_refused(x: Tensor) -> None:
    """What it saved would be computed again by a run that is not frozen."""

    def forward(x: Tensor) -> Tensor:
        return checkpoint(lambda z: SetUp.apply(F.gelu(z)), x, use_reentrant=False)

    with pytest.raises(RefusedOpError, match="SetUpBackward in a checkpoint") as e:
        linearize(forward, x)
    assert "turn checkpointing off" in str(e.value)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")
@pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs the package transformers"
)
def test_a_language_model_that_checkpoints() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config).double().train()
    x = torch.randn(1, 4, 16, dtype=torch.float64)

    @in_double
    def forward(x: Tensor) -> Tensor:
        return model(inputs_embeds=x, use_cache=False).logits[:, -1]

    expected = linearize(forward, x).weight(3)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    torch.testing.assert_close(linearize(forward, x).weight(3), expected, **EXACT)


# wrappers


def test_data_parallel_on_one_device(x: Tensor) -> None:
    network = smooth_mlp()
    torch.testing.assert_close(map_of(nn.DataParallel(network), x), map_of(network, x), **EXACT)


def test_data_parallel_on_several_devices_is_refused(x: Tensor) -> None:
    wrapped = nn.DataParallel(smooth_mlp())
    wrapped.device_ids = [0, 1]
    with pytest.raises(NotOfferedError, match=r"replicated on devices \[0, 1\]") as error:
        ILIN(wrapped).attribute(x, target=1)
    assert "Pass the model itself, model.module" in str(error.value)


def test_distributed_data_parallel(tmp_path: Path) -> None:
    """In a process of its own: PyTorch's process group may not end inside another program."""
    command = [sys.executable, "-m", "tests.surroundings.distributed", str(tmp_path / "store")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "equal before, between and after training steps", done.stderr


CALLABLES: dict[str, Any] = {
    "bound method": lambda network: network.forward,
    "lambda": lambda network: lambda x: network(x),
    "partial": lambda network: functools.partial(lambda scale, x: network(scale * x), 1.0),
    "object": lambda network: Called(network),
    "method of an object": lambda network: Called(network).__call__,
}


class Called:
    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, x: Tensor) -> Tensor:
        return self.network(x)


@pytest.mark.parametrize("name", CALLABLES)
def test_every_kind_of_callable(name: str, x: Tensor) -> None:
    network = smooth_mlp()
    torch.testing.assert_close(map_of(CALLABLES[name](network), x), map_of(network, x), **EXACT)


# parametrized weights


def _legacy(norm: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return norm(nn.Linear(3, 4).double())


PARAMETRIZED: dict[str, Any] = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(3, 4).double()),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(3, 4).double()),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(3, 4).double()),
    "legacy weight_norm": lambda: _legacy(nn.utils.weight_norm),
    "legacy spectral_norm": lambda: _legacy(nn.utils.spectral_norm),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", PARAMETRIZED)
def test_parametrized_weights_are_constant_and_kept(
    name: str, training: bool, x: Tensor
) -> None:
    """In training mode spectral norm updates its vectors in every forward pass."""
    layer = PARAMETRIZED[name]().train(training)
    network = nn.Sequential(layer, nn.GELU(), nn.Linear(4, 2).double())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    affine_map = linearize(network, x)
    affine_map.check()
    affine_map.bias(1)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


# refused by name


@pytest.mark.parametrize("layer", [nn.LazyLinear, nn.LazyConv1d, nn.LazyBatchNorm1d])
def test_lazy_modules_are_not_made_by_us(layer: Any) -> None:
    lazy = (
        layer(4)
        if layer is nn.LazyLinear
        else layer(4, 1)
        if layer is nn.LazyConv1d
        else layer()
    )
    network = nn.Sequential(nn.Flatten(0, 0), lazy)
    x = torch.randn(2, 3, 5)
    for ask in (lambda: linearize(network, x), lambda: ILIN(network).attribute(x, 0)):
        with pytest.raises(ForwardFunctionError, match="the module '1' is lazy") as error:
            ask()
        assert "Run the model once on an example" in str(error.value)
    assert lazy.has_uninitialized_params()
    network.eval()(x)
    linearize(network, x).check()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantized_modules_are_refused() -> None:
    quantization = torch.ao.quantization
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    dynamic = quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(OpaqueModuleError, match=r"the module '0' is quantized \(Linear\)") as e:
        linearize(dynamic, torch.randn(2, 3))
    assert "Pass the floating-point model it was made from" in str(e.value)


def test_quantizing_inside_is_refused(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        return torch.quantize_per_tensor(x.float(), 0.1, 0, torch.quint8).dequantize()

    with pytest.raises(RefusedOpError, match="quantized and mkldnn tensors have no derivative"):
        linearize(forward, x)
