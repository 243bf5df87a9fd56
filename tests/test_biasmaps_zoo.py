"""b by module, by place and as bars on whole architectures, against G(0) and F(x).

b is the frozen network's own value at zero, G(0), run with the gates it has at x: neither the
ledger nor W goes into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import in_double, linearize
from comparisons.models import MODELS
from comparisons.zoo import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LIMIT = 1e-10  # what the project promises of every network

# Of a library's own code, where it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
QUICK = (
    *("regnet_y_400mf", "VisionTransformer", "GPT2LMHeadModel", "BertForMaskedLM (sdpa)"),
    *("LlamaForCausalLM (sdpa)", "MambaForCausalLM"),
)
SLOW = (
    *("resnet18", "vgg11_bn", "densenet121", "googlenet", "mobilenet_v2"),
    *("efficientnet_b0", "convnext_tiny", "swin_t", "swin_v2_t", "MaxVit"),
)
TRAINED = ("fashion_cnn", "fashion_vit", "digits_cnn", "digits_vit")


class Sums(NamedTuple):
    """Relative errors of what must add up, and the size of what they are relative to.

    Attributes:
        ledger: |Σ ledger − Σ b| / |Σ b|, both of all rows.
        modules: largest |Σ by_module − b| / |b| of a row.
        bars: largest |waterfall.total − F| / |F| of a row.
        maps: largest |Σ map + rest − b| / |b| of a row; None without an image.
        alone: largest difference of a module's share from that of the row alone, relative to
            the largest share.
        share: the smallest |b| / |F| of a row.
    """

    ledger: float
    modules: float
    bars: float
    maps: float | None
    alone: float
    share: float


def measured(forward: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Sums:
    affine_map = linearize(forward, inputs, strict=True)
    target = affine_map.outputs.argmax(1).tolist()
    with torch.no_grad():
        value = forward(*inputs).amax(1)
    zero = tuple(torch.zeros_like(x) for x in inputs)
    bias = affine_map.replay(zero)[range(len(value)), target].detach()
    ledger = affine_map.bias_ledger(target)
    modules = ledger.by_module()
    total = sum(modules.values(), start=torch.zeros_like(bias))
    entries = sum((entry.sum() for entry in ledger.values()), start=bias.new_zeros(()))
    return Sums(
        ledger=relative(entries - bias.sum(), bias.sum()),
        modules=relative(total - bias, bias),
        bars=relative(affine_map.waterfall(target).total - value, value),
        maps=maps_error(ledger, inputs, bias),
        alone=alone_error(forward, inputs, target, modules),
        share=float((bias / value).abs().min()),
    )


def relative(error: Tensor, scale: Tensor) -> float:
    """Largest |error| / |scale|; 0/0 is no error."""
    return float((error / scale).abs().masked_fill(error == 0, 0.0).max())


def maps_error(ledger: Any, inputs: tuple[Tensor, ...], bias: Tensor) -> float | None:
    if inputs[0].dim() != 4:
        return None
    found = ledger.by_place(inputs[0].shape[2:])
    assert found.placed
    return relative(found.total.sum((1, 2)) + found.rest - bias, bias)


def alone_error(forward: Any, inputs: Any, target: list[int], modules: Any) -> float:
    errors = [0.0]
    for row, of_row in enumerate(target):
        own = tuple(x[row : row + 1] for x in inputs)
        alone = linearize(forward, own).bias_ledger(of_row).by_module()
        assert alone.keys() <= modules.keys()  # of one row, an op may add nothing
        zero = torch.zeros(1).double()
        errors += [float(abs(modules[m][row] - alone.get(m, zero)[0])) for m in modules]
    scale = max((float(share.abs().max()) for share in modules.values()), default=1.0)
    return max(errors) / scale


def of_architecture(name: str) -> Sums:
    architecture = BY_NAME[name]
    pytest.importorskip(architecture.library, reason=f"{architecture.library} is missing")
    network = architecture.network().double()
    inputs = tuple(x.double() for x in architecture.inputs(2))
    return measured(in_double(architecture.forward(network)), inputs)


def of_trained(name: str) -> Sums:
    network = MODELS[name].first()
    return measured(network.model.double(), (network.inputs[:2].double(),))


def assert_adds_up(found: Sums, *, bias_free: bool = False) -> None:
    print(found)  # with pytest -s
    assert found.ledger <= LIMIT
    assert found.modules <= LIMIT
    assert found.bars <= LIMIT
    assert found.maps is None or found.maps <= LIMIT
    assert found.alone <= LIMIT
    assert bias_free or found.share > 1e-5  # of a size that an error would show in


@pytest.mark.parametrize("name", TRAINED)
def test_trained_network_adds_up(name: str) -> None:
    assert_adds_up(of_trained(name))


@pytest.mark.parametrize("name", QUICK)
def test_architecture_adds_up(name: str) -> None:
    assert_adds_up(of_architecture(name), bias_free=BY_NAME[name].bias_free)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_large_architecture_adds_up(name: str) -> None:
    assert_adds_up(of_architecture(name))


def test_there_are_enough_of_them() -> None:
    assert len({*TRAINED, *QUICK, *SLOW}) >= 20
