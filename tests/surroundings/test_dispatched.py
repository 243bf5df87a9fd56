"""Ops of the dispatcher: custom ops, and the graphs that torch.export and fx make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from captum_ilin import (
    DEFAULT_RULES,
    DuplicateRuleError,
    NoDerivativeError,
    RefusedOpError,
    RuleTable,
    UnregisteredOpError,
    UnregisteredOpWarning,
    check_rule,
    hold,
    linearize,
)
from tests.networks import ConvNet, smooth_mlp

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}


@torch.library.custom_op("ilin_test::swish", mutates_args=())
def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _slope_of_swish(ctx: Any, vector: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    gate = torch.sigmoid(x)
    return vector * (gate + x * gate * (1 - gate))


swish.register_autograd(
    _slope_of_swish, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs)
)


@torch.library.custom_op("ilin_test::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    return x * 2


@torch.library.custom_op("ilin_test::double_", mutates_args=("x",))
def double_(x: Tensor) -> None:
    x.mul_(2)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64)


IDENTITIES = {
    "custom op": swish,
    "packet": torch.ops.ilin_test.swish,
    "overload": torch.ops.ilin_test.swish.default,
}


def gated(x: Tensor) -> Tensor:
    return x * hold(torch.sigmoid, x)


@pytest.mark.parametrize("called", IDENTITIES)
def test_a_custom_op_is_its_tangent_and_reported_by_the_key_of_its_rule(
    called: str, x: Tensor
) -> None:
    op = IDENTITIES[called]
    with pytest.warns(
        UnregisteredOpWarning, match=r"No rule for: torch\.ops\.ilin_test\.swish\."
    ):
        affine_map = linearize(lambda x: op(x), x)
    gate = torch.sigmoid(x)
    slope = gate + x * gate * (1 - gate)
    torch.testing.assert_close(affine_map.weight(), torch.diag_embed(slope), **ROUNDING)
    assert dict(affine_map.check().unregistered) == {"torch.ops.ilin_test.swish": 1}
    with pytest.raises(UnregisteredOpError, match=r"torch\.ops\.ilin_test\.swish"):
        linearize(lambda x: op(x), x, strict=True)


@pytest.mark.parametrize("called", IDENTITIES)
@pytest.mark.parametrize("registered", IDENTITIES)
def test_a_rule_is_found_under_every_identity(called: str, registered: str, x: Tensor) -> None:
    op, rules = IDENTITIES[called], DEFAULT_RULES | {IDENTITIES[registered]: gated}
    affine_map = linearize(lambda x: op(x), x, rules=rules, strict=True)
    torch.testing.assert_close(
        affine_map.weight(), torch.diag_embed(torch.sigmoid(x)), **ROUNDING
    )
    assert affine_map.check().unregistered == {}
    assert IDENTITIES[called] in rules
    check_rule(op, x, rules=rules, reference=_reference(x))


def _reference(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.diag(torch.sigmoid(x).flatten()), torch.zeros(x.numel()).double()


def test_the_identities_are_one_op_to_a_table() -> None:
    table = RuleTable()
    table.freezes(swish)(gated)
    with pytest.raises(DuplicateRuleError, match=r"The op torch\.ops\.ilin_test\.swish has"):
        table.freezes(torch.ops.ilin_test.swish)(gated)
    later = (table | {torch.ops.ilin_test.swish.default: F.silu})[swish]
    assert later.function is F.silu


def test_a_custom_op_without_a_derivative_says_so(x: Tensor) -> None:
    message = "no autograd formula was registered.*Replace the op, or give it a rule"
    with pytest.warns(UnregisteredOpWarning), pytest.raises(NoDerivativeError, match=message):
        linearize(opaque, x).weight()
    rules = DEFAULT_RULES | {opaque: lambda x: 2 * x}
    assert linearize(opaque, x, rules=rules).check().unregistered == {}


def written(x: Tensor) -> Tensor:
    y = x + 1
    double_(y)
    return 3 * y


def test_a_custom_op_that_writes_is_refused_without_a_rule(x: Tensor) -> None:
    with pytest.raises(
        RefusedOpError, match=r"Cannot freeze torch\.ops\.ilin_test\.double_"
    ) as e:
        linearize(written, x)
    assert "writes into its arguments" in str(e.value)


def test_a_custom_op_that_writes_is_frozen_by_a_rule_that_does(x: Tensor) -> None:
    affine_map = linearize(written, x, rules=DEFAULT_RULES | {double_: lambda x: x.mul_(2)})
    torch.testing.assert_close(
        affine_map.weight(), torch.diag_embed(torch.full_like(x, 6)), **ROUNDING
    )
    torch.testing.assert_close(affine_map.bias(), torch.full_like(x, 6), **ROUNDING)


# exported programs


class Transformer(nn.Module):
    """Attention, norms, gates, slices, an index, a cast and a write."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.stack([self.embed(x), self.embed(2 * x), self.embed(-x)], 1)
        y = y + self.attention(y, y, y, need_weights=False)[0]
        y = self.norm(F.gelu(y))[:, self.order][:, 1:]
        y += torch.sigmoid(y[..., :1]) * y
        return F.log_softmax(y.flatten(1).to(x.dtype), -1)


NETWORKS = {
    "mlp": (smooth_mlp, (3,)),
    "convnet": (lambda: ConvNet().eval(), (3, 12, 12)),
    "transformer": (lambda: Transformer().double().eval(), (3,)),
}


def exported(network: nn.Module, x: Tensor) -> Any:
    return torch.export.export(network, (x,)).module()


def symbolic(network: nn.Module, x: Tensor) -> Any:
    return torch.fx.symbolic_trace(network)


@pytest.fixture
def quiet_export() -> Iterator[None]:
    """The exporter warns of its own internals."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("quiet_export")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("graph_of", [exported, symbolic])
def test_a_graph_of_a_network_has_the_networks_map(name: str, graph_of: Any) -> None:
    make, shape = NETWORKS[name]
    network, x = make(), torch.randn(2, *shape, dtype=torch.float64)
    graph = graph_of(network, x)
    found, expected = linearize(graph, x, strict=True), linearize(network, x)
    torch.testing.assert_close(found.weight(1), expected.weight(1), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(found.bias(1), expected.bias(1), rtol=1e-10, atol=1e-13)
    found.check()


@pytest.mark.usefixtures("quiet_export")
def test_a_graph_of_dispatcher_ops_is_frozen_as_its_functions_are() -> None:
    network, x = smooth_mlp(), torch.randn(2, 3, dtype=torch.float64)
    found = linearize(make_fx(network)(x), x, strict=True)
    torch.testing.assert_close(found.weight(), linearize(network, x).weight(), **ROUNDING)


SPELLINGS = {
    "in place": lambda x: torch.ops.aten.relu_.default(x * 2),
    "method": lambda x: torch.ops.aten.mul.Tensor(x, torch.ops.aten.sigmoid.default(x)),
    "special": lambda x: torch.ops.aten.special_expit.default(x),
    "linalg": lambda x: torch.ops.aten.linalg_vector_norm.default(x, 2, [1], True) + x,
    "softmax": lambda x: torch.ops.aten._softmax.default(x, 1, False) * x,
}
FUNCTIONS = {
    "in place": lambda x: torch.relu_(x * 2),
    "method": lambda x: x * torch.sigmoid(x),
    "special": torch.special.expit,
    "linalg": lambda x: torch.linalg.vector_norm(x, 2, [1], True) + x,
    "softmax": lambda x: torch.softmax(x, 1) * x,
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_aten_ops_have_the_rules_of_their_functions(name: str, x: Tensor) -> None:
    found = linearize(SPELLINGS[name], x, strict=True)
    expected = linearize(FUNCTIONS[name], x, strict=True)
    torch.testing.assert_close(found.weight(), expected.weight(), **ROUNDING)
    torch.testing.assert_close(found.bias(), expected.bias(), **ROUNDING)


def test_an_aten_op_without_a_function_of_its_own_is_reported(x: Tensor) -> None:
    with pytest.warns(UnregisteredOpWarning, match="No rule for: native_layer_norm"):
        linearize(
            lambda x: torch.ops.aten.native_layer_norm.default(x, [3], None, None, 0.1)[0], x
        )
