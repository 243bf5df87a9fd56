"""Gated layers and hand-written norms: the gate and the scale are held, the rest flows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import linearize
from tests.definitions import Pair, assert_defined

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 4
GENERATOR = torch.Generator().manual_seed(3)
GATE, UP = (w.double() for w in torch.randn(2, WIDTH, 6, generator=GENERATOR))
DOWN, SCALE = torch.randn(6, WIDTH, generator=GENERATOR).double(), torch.rand(WIDTH).double()


def _tokens() -> Tensor:
    return torch.randn(2, 3, WIDTH).double()


def _sigmoid(z: Tensor) -> Tensor:
    return 1 / (1 + (-z).exp())


def _gelu(z: Tensor) -> Tensor:
    return z * (1 + torch.erf(z / math.sqrt(2))) / 2


def _gelu_tanh(z: Tensor) -> Tensor:
    return z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2


# gate function: as torch has it, and from its definition
GATES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "GLU": (torch.sigmoid, _sigmoid),
    "SwiGLU": (F.silu, lambda z: z * _sigmoid(z)),
    "GEGLU": (F.gelu, _gelu),
    "GEGLU tanh": (lambda z: F.gelu(z, approximate="tanh"), _gelu_tanh),
    "SwiGLU by hand": (lambda z: z * torch.sigmoid(z), lambda z: z * _sigmoid(z)),
    "SwiGLU by exp": (lambda z: z / (1 + torch.exp(-z)), lambda z: z * _sigmoid(z)),
    "GEGLU by erf": (lambda z: z * 0.5 * (1.0 + torch.erf(z / math.sqrt(2))), _gelu),
    "GEGLU by tanh": (
        lambda z: (
            0.5
            * z
            * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * torch.pow(z, 3))))
        ),
        _gelu_tanh,
    ),
    "quick GELU": (lambda z: z * torch.sigmoid(1.702 * z), lambda z: z * _sigmoid(1.702 * z)),
    "ReGLU": (F.relu, lambda z: z * (z > 0)),
    "squared ReLU": (lambda z: F.relu(z).square(), lambda z: (z * (z > 0)) ** 2),
    "tanh": (torch.tanh, lambda z: (z.exp() - (-z).exp()) / (z.exp() + (-z).exp())),
    "softplus": (F.softplus, lambda z: (1 + z.exp()).log()),
    "hardsigmoid": (lambda z: F.relu6(z + 3) / 6, lambda z: ((z + 3) / 6).clamp(0, 1)),
}


@pytest.mark.parametrize("name", GATES)
def test_the_gate_is_held(name: str) -> None:
    gate, defined = GATES[name]

    def forward(x: Tensor) -> Tensor:
        return (gate(x @ GATE) * (x @ UP)) @ DOWN

    def definition(x: Pair) -> Pair:
        held = defined(x.point @ GATE)
        return x.map(lambda x: (held * (x @ UP)) @ DOWN)

    assert_defined(forward, definition, _tokens())


def test_a_gate_from_elsewhere_makes_no_activation() -> None:
    """x · σ(y) is a value that a gate let through: in a product it shares evenly."""

    def forward(x: Tensor) -> Tensor:
        return ((x @ UP) * torch.sigmoid(x @ GATE)) * (x @ GATE) @ DOWN

    def definition(x: Pair) -> Pair:
        held = _sigmoid(x.point @ GATE)
        value = x.map(lambda x: (x @ UP) * held)
        return value.split(x.map(lambda x: x @ GATE), torch.mul).map(lambda y: y @ DOWN)

    assert_defined(forward, definition, _tokens())


@pytest.mark.parametrize("dim", [-1, 2])
@pytest.mark.parametrize("order", ["gate first", "gate last", "op"])
def test_fused_projections(order: str, dim: int) -> None:
    def forward(x: Tensor) -> Tensor:
        if order == "op":
            return F.glu(x @ torch.cat([UP, GATE], 1), dim) @ DOWN
        if order == "gate first":
            gate, up = (x @ torch.cat([GATE, UP], 1)).chunk(2, dim=dim)
        else:
            up, gate = (x @ torch.cat([UP, GATE], 1)).split(6, dim)
        return (gate.sigmoid() * up) @ DOWN

    def definition(x: Pair) -> Pair:
        held = _sigmoid(x.point @ GATE)
        return x.map(lambda x: (held * (x @ UP)) @ DOWN)

    assert_defined(forward, definition, _tokens())


def test_bilinear_layer() -> None:
    """Two equal factors share evenly."""

    def definition(x: Pair) -> Pair:
        product = x.map(lambda x: x @ GATE).split(x.map(lambda x: x @ UP), torch.mul)
        return product.map(lambda y: y @ DOWN)

    assert_defined(lambda x: ((x @ GATE) * (x @ UP)) @ DOWN, definition, _tokens())


def test_squeeze_and_excite() -> None:
    """A gate for each channel (Hu et al. 2018), from the mean over places."""

    def forward(x: Tensor) -> Tensor:
        squeezed = F.adaptive_avg_pool1d(x, 1).squeeze(-1)
        gate = torch.sigmoid(F.relu(squeezed @ GATE[:3]) @ DOWN[:, :3])
        return x * gate.unsqueeze(-1)

    def definition(x: Pair) -> Pair:
        hidden = x.point.mean(-1) @ GATE[:3]
        gate = _sigmoid(hidden * (hidden > 0) @ DOWN[:, :3])
        return x.map(lambda x: x * gate[..., None])

    assert_defined(forward, definition, _tokens())


def test_highway_layer() -> None:
    """T(x)·h(x) + (1 − T(x))·x (Srivastava et al. 2015): the transform gate is held."""

    def forward(x: Tensor) -> Tensor:
        gate = torch.sigmoid(x @ GATE[:, :4])
        return gate * F.relu(x @ UP[:, :4]) + (1 - gate) * x

    def definition(x: Pair) -> Pair:
        gate = _sigmoid(x.point @ GATE[:, :4])
        hidden = x.map(lambda x: x @ UP[:, :4]).chord(lambda z: z * (z > 0))
        return hidden.map(lambda h: gate * h) + x.map(lambda x: (1 - gate) * x)

    assert_defined(forward, definition, _tokens())


EPSILON = 1e-6
NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "op": lambda x: F.rms_norm(x, (WIDTH,), SCALE, EPSILON),
    "pow": lambda x: SCALE * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON)),
    "root": lambda x: x / torch.sqrt(torch.mean(x * x, -1, keepdim=True) + EPSILON) * SCALE,
    "power": lambda x: SCALE * x * (x**2).mean(-1, True).add(EPSILON).pow(-0.5),
    "half power": lambda x: SCALE * x / (x.square().mean(-1, True) + EPSILON) ** 0.5,
    "reciprocal": lambda x: (
        (x * (x.square().mean(-1, True) + EPSILON).sqrt().reciprocal()) * SCALE
    ),
    "mean of squares": lambda x: (
        x.div((torch.einsum("...i,...i->...", x, x)[..., None] / WIDTH + EPSILON).sqrt())
        * SCALE
    ),
    "in place": lambda x: (
        x.clone().mul_(x.pow(2).mean(-1, keepdim=True).add_(EPSILON).rsqrt_()).mul_(SCALE)
    ),
    "in a dtype": lambda x: (
        SCALE
        * (x.double() * torch.rsqrt(x.double().pow(2).mean(-1, True) + EPSILON)).type_as(x)
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_rms_norm_by_hand(name: str) -> None:
    def definition(x: Pair) -> Pair:
        def scale(z: Tensor) -> Tensor:
            return (sum(z[..., i] ** 2 for i in range(WIDTH)) / WIDTH + EPSILON).sqrt()[
                ..., None
            ]

        return x.centred(scale, mean=False).map(lambda x: x * SCALE)

    assert_defined(NORMS[name], definition, _tokens())


LENGTHS: dict[str, Callable[[Tensor], Tensor]] = {
    "normalize": lambda x: F.normalize(x, dim=-1) * WIDTH**0.5,
    "method": lambda x: x / x.norm(dim=-1, keepdim=True) * math.sqrt(WIDTH),
    "torch.norm": lambda x: x * WIDTH**0.5 / torch.norm(x, 2, -1, True),
    "p": lambda x: (
        math.sqrt(WIDTH) * x / torch.norm(x, p=2, dim=-1, keepdim=True).clamp(min=1e-9)
    ),
    "linalg": lambda x: x / (torch.linalg.vector_norm(x, dim=-1, keepdim=True) / WIDTH**0.5),
    "linalg.norm": lambda x: x / torch.linalg.norm(x, dim=-1, keepdim=True) * WIDTH**0.5,
    "mean": lambda x: x / (x.norm(2, -1, keepdim=True) * WIDTH**-0.5),
    "root of a sum": lambda x: x / x.square().sum(-1, keepdim=True).sqrt() * WIDTH**0.5,
}


@pytest.mark.parametrize("name", LENGTHS)
def test_division_by_the_length(name: str) -> None:
    def definition(x: Pair) -> Pair:
        def scale(z: Tensor) -> Tensor:
            return (sum(z[..., i] ** 2 for i in range(WIDTH)) / WIDTH).sqrt()[..., None]

        return x.centred(scale, mean=False)

    assert_defined(LENGTHS[name], definition, _tokens())


STANDARDIZATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "op": lambda x: F.layer_norm(x, (WIDTH,), SCALE, -SCALE, EPSILON),
    "var": lambda x: (
        SCALE * (x - x.mean(-1, True)) / (x.var(-1, False, True) + EPSILON).sqrt() - SCALE
    ),
    "var_mean": lambda x: _by_var_mean(x),
    "moments": lambda x: (
        (x - x.mean(-1, True))
        * ((x**2).mean(-1, True) - x.mean(-1, True) ** 2 + EPSILON).rsqrt()
        * SCALE
        - SCALE
    ),
    "centred": lambda x: _by_centred_squares(x),
    "addcmul": lambda x: torch.addcmul(
        -SCALE,
        SCALE.expand_as(x),
        (x - x.mean(-1, True)) * (x.var(-1, keepdim=True, correction=0) + EPSILON).rsqrt(),
    ),
}


def _by_var_mean(x: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(variance + EPSILON) * SCALE - SCALE


def _by_centred_squares(x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean(-1, True) + EPSILON) * SCALE - SCALE


@pytest.mark.parametrize("name", STANDARDIZATIONS)
def test_layer_norm_by_hand(name: str) -> None:
    def definition(x: Pair) -> Pair:
        def deviation(centred: Tensor) -> Tensor:
            return (centred.pow(2).mean(-1, keepdim=True) + EPSILON).sqrt()

        return x.centred(deviation).map(lambda x: x * SCALE - SCALE)

    assert_defined(STANDARDIZATIONS[name], definition, _tokens())


def test_norm_without_scale_at_a_zero_row() -> None:
    """‖0‖ has no slope; normalize holds max(‖z‖, ε), so a zero row stays zero."""
    x = torch.cat([torch.zeros(1, WIDTH), torch.randn(1, WIDTH)]).double()
    affine_map = linearize(lambda x: F.normalize(x, dim=-1, eps=0.5), x, strict=True)
    affine_map.check()
    assert torch.allclose(affine_map.weight()[0], 2 * torch.eye(WIDTH).double())


def test_tied_embeddings() -> None:
    """The matrix that reads embeddings in reads the logits out."""
    embedding = torch.nn.Embedding(5, WIDTH).double()

    def forward(x: Tensor) -> Tensor:
        hidden = F.rms_norm(x + embedding(torch.tensor([1, 4, 0])), (WIDTH,), eps=EPSILON)
        return F.linear(hidden, embedding.weight) * WIDTH**-0.5

    def definition(x: Pair) -> Pair:
        def scale(z: Tensor) -> Tensor:
            return (z.pow(2).mean(-1, keepdim=True) + EPSILON).sqrt()

        hidden = x.map(lambda x: x + embedding.weight[[1, 4, 0]]).centred(scale, mean=False)
        return hidden.map(lambda h: h @ embedding.weight.T * WIDTH**-0.5)

    assert_defined(forward, definition, _tokens())


def test_a_gate_that_is_the_output_keeps_its_tangent() -> None:
    def definition(x: Pair) -> Pair:
        z = x.map(lambda x: x @ GATE)
        return z.tangent(_sigmoid, _sigmoid(z.point) * (1 - _sigmoid(z.point)))

    assert_defined(lambda x: torch.sigmoid(x @ GATE), definition, _tokens())
