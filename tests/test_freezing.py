"""What freezing decides: active or constant, gates, ops it does not know.

Each case is an ordinary way to write a forward function; the expected map is written next
to it, from its definition.
"""

from __future__ import annotations

import threading
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    DEFAULT_RULES,
    ILIN,
    AffineMap,
    UnregisteredOpError,
    UnregisteredOpWarning,
    frozen,
    hold,
    linearize,
)
from tests.networks import dense_relu_map, relu_mlp

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
BATCH = 4


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 3, dtype=torch.float64)


def assert_map(affine_map: AffineMap, slope: Tensor, intercept: Tensor | float) -> None:
    """Feature i's output depends on feature i alone, with this slope and intercept."""
    expected = torch.diag_embed(slope.expand(BATCH, 3))
    intercept = torch.as_tensor(intercept, dtype=torch.float64).expand(BATCH, 3)
    torch.testing.assert_close(affine_map.weight(), expected.double(), **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), intercept, **ROUNDING)
    affine_map.check()


# active and constant


def test_parameters_buffers_and_closures_are_constant(x: Tensor) -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]).double())
            self.register_buffer("shift", torch.tensor([4.0, 5.0, 6.0]).double())

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale + self.shift * self.scale + closed_over

    closed_over = torch.ones(3, dtype=torch.float64, requires_grad=True)
    network = Shifted()
    scale = network.scale.detach()
    assert_map(linearize(network, x), scale, network.shift * scale + 1)
    assert closed_over.grad is None


def test_a_product_with_a_parameter_is_not_a_product_of_two_active_factors(x: Tensor) -> None:
    weight = nn.Parameter(torch.randn(3, dtype=torch.float64))
    assert_map(linearize(lambda x: x * weight, x), weight.detach(), 0.0)


def test_detached_values_are_constant(x: Tensor) -> None:
    assert_map(linearize(lambda x: x * x.detach() + x.detach() ** 3, x), x, x**3)


def test_values_made_under_no_grad_are_constant(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        with torch.no_grad():
            size = x.norm(dim=1, keepdim=True)
        return x / size + size

    size = x.norm(dim=1, keepdim=True)
    assert_map(linearize(forward, x), 1 / size, size)


def test_control_flow_takes_the_branch_of_this_input(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        return 2 * x if x.sum().item() > 0 else 5 * x + 1

    assert_map(linearize(forward, x.abs()), torch.tensor(2.0), 0.0)
    assert_map(linearize(forward, -x.abs()), torch.tensor(5.0), 1.0)


def test_integers_choose_and_are_held(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        return torch.where(x > 0, 3 * x, x - 1) + x.argmax(1, keepdim=True)

    positive = (x > 0).double()
    slope = 1 + 2 * positive
    intercept = positive - 1 + x.argmax(1, keepdim=True)
    assert_map(linearize(forward, x), slope, intercept)


# writes


def test_writes_through_views(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        y = 2 * x
        y[:, 0].mul_(3)
        y.view(-1)[1::3].add_(1)
        y[:, 2] = y[:, 2] * y[:, 2].detach().clone()
        return y

    slope = torch.tensor([6.0, 2.0, 0.0]).double().repeat(BATCH, 1)
    slope[:, 2] = 4 * x[:, 2]
    assert_map(linearize(forward, x), slope, torch.tensor([0.0, 1.0, 0.0]))


def test_a_view_sees_what_is_written_to_its_base(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        y = x + 1
        view = y.t()
        y.mul_(2)
        return view.t() + 0

    assert_map(linearize(forward, x), torch.tensor(2.0), 2.0)


def test_writes_into_a_constant_buffer(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        buffer = torch.full((len(x), 6), 7.0, dtype=x.dtype)
        buffer[:, :3] = x
        buffer[:, 3:] = 1
        return buffer[:, :3] * 2 + buffer[:, 3:]

    assert_map(linearize(forward, x), torch.tensor(2.0), 1.0)


def test_a_constant_kept_in_a_partly_written_buffer(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        buffer = torch.full((len(x), 3), 7.0, dtype=x.dtype)
        buffer[:, 1] = 3 * x[:, 1]
        return buffer

    assert_map(
        linearize(forward, x, rules=DEFAULT_RULES),
        torch.tensor([0.0, 3.0, 0.0]),
        torch.tensor([7.0, 0.0, 7.0]),
    )


def test_overwriting_an_active_value_forgets_it(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        y = 2 * x
        y[:, 1] = 5
        y[:, 2].zero_()
        return y

    slope = torch.tensor([2.0, 0.0, 0.0])
    assert_map(linearize(forward, x), slope, torch.tensor([0.0, 5.0, 0.0]))


def test_a_forward_function_that_writes_into_its_input(x: Tensor) -> None:
    before = x.clone()

    def forward(x: Tensor) -> Tensor:
        x[:, 0] = 0
        x += 1
        return x.relu_()

    passed = (before + 1 > 0) * torch.tensor([0.0, 1.0, 1.0])
    affine_map = linearize(forward, x)
    intercept = (before + 1 > 0).double()
    intercept[:, 0] = 1
    assert_map(affine_map, passed.double(), intercept)
    assert torch.equal(x, before)


RELU_SPELLINGS = {
    "F.relu": lambda z: F.relu(z),
    "F.relu inplace": lambda z: F.relu(z, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": lambda z: torch.relu_(z),
    "Tensor.relu": lambda z: z.relu(),
    "Tensor.relu_": lambda z: z.relu_(),
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU inplace": nn.ReLU(inplace=True),
    "clamp": lambda z: z.clamp(min=0),
    "maximum": lambda z: torch.maximum(z, torch.zeros_like(z)),
    "where": lambda z: torch.where(z > 0, z, 0.0),
    "mask": lambda z: z * (z > 0),
    "masked_fill": lambda z: z.masked_fill(z < 0, 0.0),
    "index": lambda z: _zeroed_where_negative(z),
    "leaky_relu": lambda z: F.leaky_relu(z, 0.0),
}


def _zeroed_where_negative(z: Tensor) -> Tensor:
    z = z.clone()
    z[z < 0] = 0
    return z


@pytest.mark.parametrize("spelling", RELU_SPELLINGS)
def test_relu_is_the_same_however_it_is_spelled(spelling: str, x: Tensor) -> None:
    network, relu = relu_mlp(3, 6, 5, 2), RELU_SPELLINGS[spelling]

    def forward(x: Tensor) -> Tensor:
        return network[4](relu(network[2](relu(network[0](x)))))

    affine_map = linearize(forward, x, strict=True)
    slope, intercept = dense_relu_map(network, x)
    torch.testing.assert_close(affine_map.weight(), slope, **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), intercept, **ROUNDING)


def test_a_reused_module_is_frozen_call_by_call(x: Tensor) -> None:
    relu, layer = nn.ReLU(), nn.Linear(3, 3).double()
    once = nn.Sequential(layer, relu, layer, relu, layer)
    slope, intercept = dense_relu_map(once, x)
    affine_map = linearize(once, x)
    torch.testing.assert_close(affine_map.weight(), slope, **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), intercept, **ROUNDING)


# gates


class Gated(nn.Module):
    """down(gate(g(x)) · u(x)); with its gate held, down · diag(gate) · u."""

    def __init__(self, gate: Any) -> None:
        super().__init__()
        self.g, self.u, self.down = nn.Linear(3, 6), nn.Linear(3, 6), nn.Linear(6, 3)
        self.gate = gate
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.gate(self.g(x)) * self.u(x))

    def held(self, x: Tensor) -> Tensor:
        """W by the definition, (batch, out, in)."""
        with torch.no_grad():
            gate = self.gate(self.g(x))
            return torch.einsum("oh,bh,hi->boi", self.down.weight, gate, self.u.weight)


ACTIVATION_GATES = {
    "silu": F.silu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "relu": F.relu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "softmax": lambda z: z.softmax(-1),
    "exp": torch.exp,
}


@pytest.mark.parametrize("gate", ACTIVATION_GATES)
def test_activation_gate_is_held(gate: str, x: Tensor) -> None:
    network = Gated(ACTIVATION_GATES[gate])
    weight = linearize(network, x, strict=True).weight()
    torch.testing.assert_close(weight, network.held(x), **ROUNDING)


def test_activation_gate_is_held_behind_another_activation(x: Tensor) -> None:
    """The signal that enters the gated layer came through an activation itself."""
    network, before = Gated(F.silu), nn.Linear(3, 3).double()

    def forward(x: Tensor) -> Tensor:
        return network(F.gelu(before(x)))

    z = before(x).detach()
    chord = F.gelu(z) / z
    expected = network.held(F.gelu(z)) * chord[:, None] @ before.weight.detach()
    torch.testing.assert_close(linearize(forward, x).weight(), expected, **ROUNDING)


def test_a_gate_keeps_its_rank_through_what_does_not_change_its_nature(x: Tensor) -> None:
    network = Gated(
        lambda z: F.dropout(2 * F.silu(z).reshape(-1, 2, 3), 0.5, False).flatten(1) + 1
    )
    weight = linearize(network, x).weight()
    torch.testing.assert_close(weight, network.held(x), **ROUNDING)


def test_factors_of_one_rank_are_split_evenly(x: Tensor) -> None:
    first, second = nn.Linear(3, 3).double(), nn.Linear(3, 3).double()
    weight = linearize(lambda x: first(x) * second(x), x).weight()
    a, b = first(x).detach(), second(x).detach()
    expected = (
        a[:, :, None] * second.weight.detach() + b[:, :, None] * first.weight.detach()
    ) / 2
    torch.testing.assert_close(weight, expected, **ROUNDING)


def test_squeeze_and_excite_holds_its_channel_gates() -> None:
    images = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    squeeze, excite = nn.Conv2d(4, 2, 1).double(), nn.Conv2d(2, 4, 1).double()

    def gates(z: Tensor) -> Tensor:
        return torch.sigmoid(excite(F.relu(squeeze(F.adaptive_avg_pool2d(z, 1)))))

    def forward(z: Tensor) -> Tensor:
        return (z * gates(z)).mean((2, 3))

    weight = linearize(forward, images).weight()
    for channel in range(4):
        expected = torch.zeros_like(images)
        expected[:, channel] = gates(images).detach()[:, channel] / 25
        torch.testing.assert_close(weight[:, channel], expected, **ROUNDING)


def test_a_gate_that_is_the_output_keeps_its_tangent(x: Tensor) -> None:
    s = torch.sigmoid(x)
    assert_map(linearize(torch.sigmoid, x), s * (1 - s), s - s * (1 - s) * x)


def test_root_mean_square_norm_written_out_holds_its_scale(x: Tensor) -> None:
    scale = torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-6)

    def forward(x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-6)

    assert_map(linearize(forward, x), scale, 0.0)


SQUARES = {
    "product": lambda z: z * z,
    "**": lambda z: z**2,
    "pow": lambda z: z.pow(2),
    "torch.pow": lambda z: torch.pow(z, 2),
    "square": lambda z: z.square(),
    "**=": lambda z: _raised(z.clone()),
}


def _raised(z: Tensor) -> Tensor:
    z **= 2
    return z


@pytest.mark.parametrize("spelling", SQUARES)
def test_square_is_the_same_however_it_is_spelled(spelling: str, x: Tensor) -> None:
    assert_map(linearize(SQUARES[spelling], x, strict=True), x, 0.0)


def test_gelu_written_out_is_a_secant(x: Tensor) -> None:
    def forward(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3)))

    assert_map(linearize(forward, x), forward(x) / x, 0.0)


# attention, four ways

HEADS, WIDTH, TOKENS = 2, 8, 5


@pytest.fixture
def attention() -> nn.MultiheadAttention:
    module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double().eval()
    nn.init.normal_(module.in_proj_bias)
    nn.init.normal_(module.out_proj.bias)
    return module


def projected(module: nn.MultiheadAttention, x: Tensor) -> list[Tensor]:
    """q, k and v, each (batch, heads, tokens, width/heads)."""
    together = F.linear(x, module.in_proj_weight, module.in_proj_bias)
    return [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in together.chunk(3, -1)]


def by_module(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    return module(x, x, x, need_weights=False)[0]


def by_module_with_weights(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    return module(x, x, x)[0]


def by_fused_function(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    mixed = F.scaled_dot_product_attention(*projected(module, x))
    return module.out_proj(mixed.transpose(1, 2).flatten(2))


def by_matmul(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    q, k, v = projected(module, x)
    pattern = torch.softmax(q @ k.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5, -1)
    return module.out_proj((pattern @ v).transpose(1, 2).flatten(2))


def by_einsum(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    q, k, v = projected(module, x)
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * (WIDTH // HEADS) ** -0.5
    mixed = torch.einsum("bhqk,bhkd->bqhd", scores.softmax(-1), v)
    return module.out_proj(mixed.flatten(2))


def by_hand(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Softmax from exp and a sum, a quotient of two active values."""
    q, k, v = projected(module, x)
    scores = q @ k.mT * (WIDTH // HEADS) ** -0.5
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    pattern = weights / weights.sum(-1, keepdim=True)
    return module.out_proj((pattern @ v).transpose(1, 2).flatten(2))


SPELLINGS = [
    by_module,
    by_module_with_weights,
    by_fused_function,
    by_matmul,
    by_einsum,
    by_hand,
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.__name__)
def test_attention_is_the_same_however_it_is_spelled(
    spelling: Any, attention: nn.MultiheadAttention
) -> None:
    tokens = torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    affine_map = linearize(lambda x: spelling(attention, x)[:, 0], tokens, strict=True)
    slope, intercept = held_attention(attention, tokens)
    torch.testing.assert_close(affine_map.weight(), slope, rtol=0, atol=1e-12)
    torch.testing.assert_close(affine_map.bias(), intercept, rtol=0, atol=1e-12)


def held_attention(module: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """W and b of the first token, with the pattern held, from the matrices."""
    with torch.no_grad():
        q, k, _ = projected(module, x)
        pattern = (q @ k.mT * (WIDTH // HEADS) ** -0.5).softmax(-1)[:, :, 0]
        value, shift = module.in_proj_weight[2 * WIDTH :], module.in_proj_bias[2 * WIDTH :]
        out = module.out_proj.weight.unflatten(1, (HEADS, -1))
        slope = torch.einsum("ohd,bhk,hdi->boki", out, pattern, value.unflatten(0, (HEADS, -1)))
        return slope, (module.out_proj(shift)).expand(len(x), -1)


# ops it does not know


LIBRARY = torch.library.Library("ilin_freezing", "DEF")
LIBRARY.define("i0(Tensor x) -> Tensor")
LIBRARY.impl("i0", torch.special.i0, "CompositeImplicitAutograd")
BESSEL = torch.ops.ilin_freezing.i0


def bessel(x: Tensor) -> Tensor:
    """No table has a rule for it."""
    return BESSEL(x)


class Bessel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 3).double()
        self.body = nn.Module()
        self.body.act = _Act()

    def forward(self, x: Tensor) -> Tensor:
        return self.body.act(self.stem(x))


class _Act(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return BESSEL(x) + BESSEL(2 * x)


def said_by(call: Any) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    return said


def test_unregistered_op_warns_once_with_name_path_and_cure(x: Tensor) -> None:
    (warning,) = said_by(lambda: linearize(Bessel(), x))
    assert warning.category is UnregisteredOpWarning
    message = str(warning.message)
    assert message.startswith(
        "No rule for: torch.ops.ilin_freezing.i0 in 'body.act'. Frozen at its tangent"
    )
    assert "rules=DEFAULT_RULES | {op: rule}" in message
    assert warning.filename == __file__


@pytest.mark.filterwarnings("ignore::captum_ilin.UnregisteredOpWarning")
def test_unregistered_op_is_exact_and_counted(x: Tensor) -> None:
    slope = torch.special.i1(x)
    affine_map = linearize(bessel, x)
    assert_map(affine_map, slope, bessel(x) - slope * x)
    assert dict(affine_map.certificate().unregistered) == {"torch.ops.ilin_freezing.i0": 1}
    assert dict(linearize(Bessel(), x).certificate().unregistered) == {
        "torch.ops.ilin_freezing.i0": 2
    }


def test_attribute_warns_too(x: Tensor) -> None:
    with pytest.warns(
        UnregisteredOpWarning, match=r"No rule for: torch\.ops\.ilin_freezing\.i0"
    ):
        ILIN(bessel).attribute(x, target=0)


def test_strict_refuses(x: Tensor) -> None:
    with pytest.raises(
        UnregisteredOpError, match=r"No rule for: torch\.ops\.ilin_freezing\.i0 in 'body\.act'"
    ) as e:
        linearize(Bessel(), x, strict=True)
    assert "Add a rule" in str(e.value)
    assert "Frozen at its tangent" not in str(e.value)
    with pytest.raises(
        UnregisteredOpError, match=r"No rule for: torch\.ops\.ilin_freezing\.i0"
    ):
        ILIN(bessel, strict=True).attribute(x, target=0)


def test_a_rule_of_ones_own_is_used_and_silences_the_warning(x: Tensor) -> None:
    def held_in_full(input: Tensor) -> Tensor:
        return input * hold(lambda z: BESSEL(z) / z, input)

    rules = DEFAULT_RULES | {BESSEL: held_in_full}
    affine_map = linearize(bessel, x, rules=rules, strict=True)
    assert_map(affine_map, bessel(x) / x, 0.0)
    assert BESSEL not in DEFAULT_RULES


class Exponential(torch.autograd.Function):
    """A custom function, whose forward no op call announces."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        y = z.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return vector * y


def test_custom_function_is_reported_and_exact(x: Tensor) -> None:
    with pytest.warns(UnregisteredOpWarning, match="No rule for: ExponentialBackward") as given:
        affine_map = linearize(lambda x: Exponential.apply(2 * x), x)
    assert "A custom autograd.Function cannot be given a rule" in str(given[0].message)
    assert "Add a rule" not in str(given[0].message)
    slope = 2 * (2 * x).exp()
    assert_map(affine_map, slope, slope / 2 - slope * x)
    assert dict(affine_map.certificate().unregistered) == {"ExponentialBackward": 1}


def test_custom_function_is_refused_under_strict(x: Tensor) -> None:
    with pytest.raises(
        UnregisteredOpError,
        match=r"No rule for: ExponentialBackward\..* or as a torch\.library\.custom_op",
    ):
        linearize(lambda x: Exponential.apply(2 * x), x, strict=True)


# several runs at once


def test_threads_do_not_see_each_other() -> None:
    networks = [relu_mlp(3, 8, 8, 4) for _ in range(4)]
    points = [torch.randn(5, 3, dtype=torch.float64) for _ in networks]
    expected = [dense_relu_map(n, p) for n, p in zip(networks, points, strict=True)]
    barrier, found = threading.Barrier(len(networks)), {}

    def work(index: int) -> None:
        def forward(x: Tensor) -> Tensor:
            barrier.wait(30)  # every thread is inside its frozen run
            return networks[index](x)

        for _ in range(5):
            affine_map = linearize(forward, points[index])
            found[index] = affine_map.weight(), affine_map.bias()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(networks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [0, 1, 2, 3]
    for index, map_ in found.items():
        torch.testing.assert_close(map_, expected[index], **ROUNDING)


def test_a_frozen_call_inside_a_frozen_call(x: Tensor) -> None:
    """What is inside is constant slopes and gates already; the outer run changes nothing."""
    inner = frozen(F.silu)
    once = linearize(F.silu, x)
    nested = linearize(lambda x: inner(x), x)
    torch.testing.assert_close(nested.weight(), once.weight(), **ROUNDING)
    torch.testing.assert_close(nested.bias(), once.bias(), **ROUNDING)
    nested.check()


def test_gradients_of_constants_inside_the_forward_function(x: Tensor) -> None:
    """As energy models take them: a gradient with respect to something constant."""
    weight = torch.randn(3, dtype=torch.float64)

    def forward(x: Tensor) -> Tensor:
        point = weight.clone().requires_grad_()
        (slope,) = torch.autograd.grad(point.pow(3).sum(), point)
        return x * slope

    assert_map(linearize(forward, x), 3 * weight**2, 0.0)


def test_linearizing_inside_a_frozen_call(x: Tensor) -> None:
    """A forward function that explains something itself, and uses what it found."""
    helper = relu_mlp(3, 5, 3)
    slope, _ = dense_relu_map(helper, x)

    def forward(x: Tensor) -> Tensor:
        return x * linearize(helper, x.detach()).weight(0)

    assert_map(linearize(forward, x), slope[:, 0], 0.0)


def test_frozen_leaves_values_bit_for_bit_on_relu_networks(x: Tensor) -> None:
    network = relu_mlp(3, 6, 4)
    assert torch.equal(frozen(network)(x), network(x))


def test_frozen_has_no_second_derivative(x: Tensor) -> None:
    point = x.clone().requires_grad_()
    y = frozen(lambda x: F.gelu(x) * torch.sigmoid(x))(point)
    (slope,) = torch.autograd.grad(y.sum(), point, create_graph=True)
    assert not slope.requires_grad


def test_frozen_takes_keyword_arguments(x: Tensor) -> None:
    point = x.clone().requires_grad_()
    y = frozen(F.gelu)(point, approximate="tanh")
    (slope,) = torch.autograd.grad(y.sum(), point)
    torch.testing.assert_close(slope, F.gelu(x, approximate="tanh") / x, **ROUNDING)
