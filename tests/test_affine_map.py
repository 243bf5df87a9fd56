"""``AffineMap``: outputs, weights, bias, ledger and certificate.

Layouts in which the batch is not the first dimension inside the network are compared with
the same network asked about one row at a time.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    DEFAULT_RULES,
    ILIN,
    Certificate,
    MissingTargetError,
    NotExactError,
    Site,
    TargetRangeError,
    check_affine_map,
    hold,
    linearize,
)
from tests.networks import (
    ConvNet,
    TinyTransformer,
    TwoInputs,
    dense_relu_map,
    pick,
    relu_mlp,
    smooth_mlp,
)

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
BATCH, FEATURES, CLASSES = 4, 3, 5


@pytest.fixture
def network() -> nn.Sequential:
    return relu_mlp(FEATURES, 6, 7, CLASSES)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, FEATURES, dtype=torch.float64)


def test_inputs_and_outputs_are_kept(network: nn.Module, x: Tensor) -> None:
    affine_map = linearize(network, x)
    assert affine_map.inputs is x
    assert not affine_map.outputs.requires_grad
    torch.testing.assert_close(affine_map.outputs, network(x).detach(), rtol=0, atol=0)


def test_repr_shows_shapes_and_rules(network: nn.Module, x: Tensor) -> None:
    assert repr(linearize(network, x)) == (
        "AffineMap(inputs (4, 3) -> outputs (4, 5), torch.float64, DEFAULT_RULES)"
    )


def test_is_immutable(network: nn.Module, x: Tensor) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        linearize(network, x).inputs = x


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (3, [3, 3, 3, 3]),
        ((3,), [3, 3, 3, 3]),
        (torch.tensor(2), [2, 2, 2, 2]),
        (torch.tensor([2]), [2, 2, 2, 2]),
        (torch.tensor([4, 0, 1, 3]), [4, 0, 1, 3]),
        ([4, 0, 1, 3], [4, 0, 1, 3]),
        ([(4,), (0,), (1,), (3,)], [4, 0, 1, 3]),
    ],
)
def test_weight_and_bias_of_every_target_form(
    network: nn.Sequential, x: Tensor, target: Any, classes: list[int]
) -> None:
    affine_map = linearize(network, x)
    slope, intercept = dense_relu_map(network, x)
    torch.testing.assert_close(affine_map.weight(target), pick(slope, classes), **ROUNDING)
    torch.testing.assert_close(affine_map.bias(target), pick(intercept, classes), **ROUNDING)


def test_without_target_all_outputs(network: nn.Sequential, x: Tensor) -> None:
    affine_map = linearize(network, x)
    slope, intercept = dense_relu_map(network, x)
    torch.testing.assert_close(affine_map.weight(), slope, **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), intercept, **ROUNDING)


def test_without_target_outputs_keep_their_shape(x: Tensor) -> None:
    network = relu_mlp(FEATURES, 6, 6)
    affine_map = linearize(nn.Sequential(network, nn.Unflatten(1, (3, 2))), x)
    slope, intercept = dense_relu_map(network, x)
    torch.testing.assert_close(affine_map.weight(), slope.unflatten(1, (3, 2)), **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), intercept.unflatten(1, (3, 2)), **ROUNDING)
    torch.testing.assert_close(affine_map.weight((2, 1)), slope[:, 5], **ROUNDING)


@pytest.mark.parametrize("squeeze", [True, False], ids=["(batch,)", "(batch, 1)"])
def test_one_output_needs_no_target(x: Tensor, squeeze: bool) -> None:
    network = relu_mlp(FEATURES, 6, 1)
    affine_map = linearize(lambda x: network(x).squeeze(1) if squeeze else network(x), x)
    slope, intercept = dense_relu_map(network, x)
    torch.testing.assert_close(affine_map.weight(), slope[:, 0], **ROUNDING)
    torch.testing.assert_close(affine_map.bias(), intercept[:, 0], **ROUNDING)
    total = sum(entry.sum() for entry in affine_map.bias_ledger().values())
    torch.testing.assert_close(total, intercept.sum(), **ROUNDING)


def test_tuple_of_inputs_gives_a_tuple_of_weights() -> None:
    network, a = TwoInputs().double(), torch.randn(BATCH, 3, dtype=torch.float64)
    b = torch.randn(BATCH, 2, dtype=torch.float64)
    affine_map = linearize(network, (a, b))
    gate = (network.left(a) + network.right(b) > 0).double().detach()
    rows = gate[:, None] * network.head.weight.detach()
    for_a, for_b = affine_map.weight()
    torch.testing.assert_close(for_a, rows @ network.left.weight.detach(), **ROUNDING)
    torch.testing.assert_close(for_b, rows @ network.right.weight.detach(), **ROUNDING)
    alone = linearize(network, (a,), additional_forward_args=b).weight(1)
    assert isinstance(alone, tuple)
    torch.testing.assert_close(alone[0], for_a[:, 1], **ROUNDING)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_read_by_callers_without_gradients(
    network: nn.Sequential, x: Tensor, caller: Any
) -> None:
    slope, intercept = dense_relu_map(network, x)
    with caller():
        affine_map = linearize(network, x.clone())
        weight, bias = affine_map.weight(), affine_map.bias()
        target_weight, target_bias = affine_map.weight(1), affine_map.bias(1)
        total = sum(entry.sum() for entry in affine_map.bias_ledger(1).values())
        affine_map.check()
    torch.testing.assert_close((weight, bias), (slope, intercept), **ROUNDING)
    torch.testing.assert_close(target_weight, slope[:, 1], **ROUNDING)
    torch.testing.assert_close(target_bias, intercept[:, 1], **ROUNDING)
    torch.testing.assert_close(total, intercept[:, 1].sum(), **ROUNDING)


def test_reading_twice_gives_the_same(network: nn.Module, x: Tensor) -> None:
    affine_map = linearize(network, x)
    first = affine_map.weight(1), affine_map.bias(1), affine_map.bias_ledger(1)
    affine_map.check()
    second = affine_map.weight(1), affine_map.bias(1), affine_map.bias_ledger(1)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


# the ledger


def test_ledger_names_module_and_op_and_keeps_shapes() -> None:
    network, images = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    ledger = linearize(network, images).bias_ledger(target=1)
    assert {site: tuple(entry.shape) for site, entry in ledger.items()} == {
        Site("first", "conv2d"): (2, 6, 12, 12),
        Site("norm", "batch_norm"): (2, 6, 12, 12),
        Site("second", "conv2d"): (2, 8, 3, 3),
        Site("head", "linear"): (2, 4),
    }


def test_ledger_entries_are_the_biases_propagated(network: nn.Sequential, x: Tensor) -> None:
    """Entry by entry, from the network's matrices: the frozen rest times the layer's bias."""
    ledger = linearize(network, x).bias_ledger(target=2)
    for index in (0, 2, 4):
        layer = network[index]
        above, _ = dense_relu_map(network[index + 1 :], _activation(network, x, index))
        expected = above[:, 2] * layer.bias.detach()
        torch.testing.assert_close(ledger[f"{index}", "linear"], expected, **ROUNDING)


def _activation(network: nn.Sequential, x: Tensor, index: int) -> Tensor:
    with torch.no_grad():
        return network[: index + 1](x)


def test_ledger_tells_calls_of_one_module_apart(x: Tensor) -> None:
    layer = nn.Linear(3, 3).double()
    network = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), layer)
    affine_map = linearize(network, x)
    ledger = affine_map.bias_ledger(target=0)
    assert list(ledger) == [("0", "linear"), ("0", "linear#2"), ("0", "linear#3")]
    torch.testing.assert_close(
        sum(entry.sum(1) for entry in ledger.values()), affine_map.bias(0), **ROUNDING
    )


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: relu_mlp(3, 6, 4), (3,)),
        (smooth_mlp, (3,)),
        (ConvNet, (3, 12, 12)),
        (lambda: TinyTransformer(batch_first=True), (5, 8)),
    ],
    ids=["relu mlp", "smooth mlp", "convnet", "transformer"],
)
def test_ledger_adds_up_to_the_bias_of_every_row(make: Any, shape: tuple[int, ...]) -> None:
    network, x = make(), torch.randn(3, *shape, dtype=torch.float64)
    affine_map = linearize(network, x)
    ledger = affine_map.bias_ledger(target=[0, 2, 1])
    rows = sum(_by_row(entry, len(x)) for entry in ledger.values())
    torch.testing.assert_close(rows, affine_map.bias([0, 2, 1]), **ROUNDING)


def _by_row(entry: Tensor, rows: int) -> Tensor:
    """Sums over everything but the batch, which some layers keep second."""
    batch = [dim for dim, size in enumerate(entry.shape) if size == rows]
    return entry.movedim(batch[0], 0).flatten(1).sum(1)


def test_ledger_holds_parameters_and_numbers_added_by_hand(x: Tensor) -> None:
    shift = nn.Parameter(torch.randn(3, dtype=torch.float64))
    affine_map = linearize(lambda x: 2 * (x + shift) - 1, x)
    ledger = affine_map.bias_ledger(target=1)
    expected = torch.zeros(BATCH, 3, dtype=torch.float64)
    expected[:, 1] = 2 * shift.detach()[1]
    torch.testing.assert_close(ledger["", "add"], expected, **ROUNDING)
    torch.testing.assert_close(affine_map.bias(1), 2 * shift.detach()[1].repeat(4) - 1)


def test_ledger_leaves_out_what_adds_nothing(x: Tensor) -> None:
    network = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)).double()
    assert list(linearize(network, x).bias_ledger(target=0)) == [("2", "linear")]


def test_ledger_needs_a_target_among_several_outputs(network: nn.Module, x: Tensor) -> None:
    with pytest.raises(
        MissingTargetError, match="No target was given, but forward_func returns 5"
    ):
        linearize(network, x).bias_ledger()


# layouts whose batch is not the first dimension inside


class Windows(nn.Module):
    """Rows cut into windows of two, normalised and mixed: (batch · windows, 2, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(4), nn.Linear(4, 4)
        self.shift = nn.Parameter(torch.randn(2, 4))
        self.head = nn.Linear(4, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        windows = x.reshape(-1, 2, 4) + self.shift
        windows = F.gelu(self.mix(self.norm(windows)))
        return self.head(windows.reshape(len(x), -1, 4).mean(1))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: TinyTransformer(batch_first=False), (5, 8)),
        (Windows, (6, 4)),
        (
            lambda: lambda x: (x.movedim(0, 2) + torch.arange(5.0)[:, None, None]).sum((0, 1)),
            (5, 3),
        ),
    ],
    ids=["sequence-first transformer", "windows", "batch last"],
)
def test_bias_belongs_to_its_row_in_any_layout(make: Any, shape: tuple[int, ...]) -> None:
    network, x = make(), torch.randn(3, *shape, dtype=torch.float64)
    targets = None if network(x).dim() == 1 else [2, 0, 1]
    together = linearize(network, x)
    for row in range(3):
        target = None if targets is None else targets[row]
        alone = linearize(network, x[row : row + 1])
        torch.testing.assert_close(
            together.bias(targets)[row], alone.bias(target)[0], **ROUNDING
        )
        torch.testing.assert_close(
            together.weight(targets)[row], alone.weight(target)[0], **ROUNDING
        )
        ledger = together.bias_ledger(targets, row=row)
        torch.testing.assert_close(
            sum(entry.sum() for entry in ledger.values()), alone.bias(target)[0], **ROUNDING
        )


@pytest.mark.parametrize("row", [3, -1, True])
def test_a_row_that_the_batch_lacks_is_refused(row: Any) -> None:
    with pytest.raises(
        TargetRangeError,
        match=r"The row must be an int from 0 to 2, because the batch has 3 rows, but got "
        rf"{row}\. Pass the number of one example\.",
    ):
        linearize(torch.relu, torch.ones(3, 1)).bias_ledger(row=row)


def test_rows_of_the_bias_differ(x: Tensor) -> None:
    """The test above would pass on a bias that is the same for all."""
    network, x = Windows(), torch.randn(3, 6, 4, dtype=torch.float64)
    bias = linearize(network, x).bias(0)
    assert (bias[0] - bias[1]).abs() > 1e-3


# the certificate


def test_certificate_is_frozen_and_has_its_fields(network: nn.Module, x: Tensor) -> None:
    certificate = linearize(network, x).certificate()
    names = [field.name for field in dataclasses.fields(Certificate)]
    assert names == [
        "value_error",
        "affinity_error",
        "completeness_error",
        "rules",
        "dtype",
        "precision",
        "unregistered",
        "replay_error",
        "baseline_error",
    ]
    with pytest.raises(dataclasses.FrozenInstanceError):
        certificate.rules = "others"
    with pytest.raises(TypeError):
        certificate.unregistered["relu"] = 1


def test_certificate_of_an_exact_map(network: nn.Module, x: Tensor) -> None:
    affine_map = linearize(network, x)
    certificate = affine_map.certificate()
    assert certificate.value_error == 0
    assert certificate.affinity_error == 0
    assert certificate.completeness_error < 1e-14
    assert certificate.rules == "DEFAULT_RULES"
    assert certificate.dtype == torch.float64
    assert dict(certificate.unregistered) == {}
    assert affine_map.check() == certificate


@pytest.mark.parametrize("features", [(FEATURES,), ()], ids=["vectors", "numbers"])
def test_certificate_and_delta_where_an_example_has_one_number(
    features: tuple[int, ...],
) -> None:
    def total(x: Tensor) -> Tensor:
        return F.silu(2 * x + 1).reshape(len(x), -1).sum(1)

    points = torch.randn(BATCH, *features, dtype=torch.float64)
    assert linearize(total, points).check().completeness_error < 1e-14
    check_affine_map(linearize(total, points))
    _, delta = ILIN(total).attribute(points, return_convergence_delta=True)
    assert delta.shape == (BATCH,)
    assert delta.abs().max() < 1e-14


def doubled(input: Tensor, inplace: bool = False) -> Tensor:
    """Wrong value."""
    return 2 * input


def not_held(input: Tensor, inplace: bool = False) -> Tensor:
    """Right value, slope that moves with the input."""
    return input * torch.sigmoid(input)


def detached_without_hold(input: Tensor, inplace: bool = False) -> Tensor:
    """Right value and slope, but its intercept is lost to the ledger."""
    return 0.5 * input + (F.silu(input) - 0.5 * input).detach()


class GatedNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(3, 6), nn.SiLU(), nn.Linear(6, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.up(x)))


@pytest.mark.parametrize(
    ("rule", "errors"),
    [
        (doubled, {"value_error"}),
        (not_held, {"affinity_error"}),
        (detached_without_hold, {"completeness_error"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_broken_rule_shows_in_the_certificate(rule: Any, errors: set[str], x: Tensor) -> None:
    affine_map = linearize(GatedNet(), x, rules=DEFAULT_RULES | {F.silu: rule})
    certificate = affine_map.certificate()
    for error in errors:
        assert getattr(certificate, error) > 1e-3
    with pytest.raises(NotExactError, match="The affine map is not exact: value error"):
        affine_map.check()


def test_check_names_the_op_with_a_wrong_value(x: Tensor) -> None:
    affine_map = linearize(GatedNet(), x, rules=DEFAULT_RULES | {F.silu: doubled})
    with pytest.raises(NotExactError, match=r"First op at fault: silu in 'act'") as error:
        affine_map.check()
    assert "differs from the op's by" in str(error.value)
    assert "check_rule" in str(error.value)


@pytest.mark.parametrize("rule", [not_held, detached_without_hold])
def test_check_names_the_op_with_a_wrong_slope_or_intercept(rule: Any, x: Tensor) -> None:
    affine_map = linearize(GatedNet(), x, rules=DEFAULT_RULES | {F.silu: rule})
    with pytest.raises(NotExactError, match=r"First op at fault: silu in 'act'"):
        affine_map.check()


def test_a_right_rule_passes(x: Tensor) -> None:
    def silu(input: Tensor, inplace: bool = False) -> Tensor:
        return input * hold(torch.sigmoid, input)

    ours = linearize(GatedNet(), x, rules=DEFAULT_RULES | {F.silu: silu})
    assert ours.check().rules == "DEFAULT_RULES | 1 ops"


def test_tolerance_is_the_callers(x: Tensor) -> None:
    affine_map = linearize(GatedNet().float(), x.float())
    affine_map.check()
    with pytest.raises(NotExactError, match=r"tolerance 1e-30"):
        affine_map.check(tolerance=1e-30)


def test_check_sees_a_forward_function_that_drifts(x: Tensor) -> None:
    network, calls = relu_mlp(FEATURES, 4, 2), []

    def drifting(x: Tensor) -> Tensor:
        calls.append(None)
        return network(x) + 0.5 * len(calls)

    with pytest.raises(NotExactError, match="gives different values each time"):
        linearize(drifting, x).check()


def test_check_sees_values_taken_through_numpy(x: Tensor) -> None:
    """Through NumPy the value is constant: exact, and in the bias by right of the ledger."""

    def through_numpy(x: Tensor) -> Tensor:
        return x + torch.from_numpy(x.detach().numpy() ** 2)

    affine_map = linearize(through_numpy, x)
    affine_map.check()
    torch.testing.assert_close(affine_map.weight(1), torch.eye(3)[1].double().repeat(4, 1))
    torch.testing.assert_close(affine_map.bias(1), x[:, 1] ** 2)


def test_check_blames_no_op_for_rows_that_mix(x: Tensor) -> None:
    """The factors of the quotient and of the product share what they were made from."""

    def attention_over_nodes(x: Tensor) -> Tensor:
        scores = x[:, :1].exp()
        weights = scores / (scores.sum(0) + 1e-16)
        return weights * x[:, 1:] * weights.sigmoid() + x.sum(0)[:1]

    with pytest.raises(NotExactError, match=r"Every op on its own is exact.*one example"):
        linearize(attention_over_nodes, x).check()
    linearize(lambda x: attention_over_nodes(x[0])[:1], x.unsqueeze(0)).check()


def test_an_output_that_only_steps_with_the_input_is_all_bias() -> None:
    """It is constant, though its parameters require gradients."""
    layer, x = nn.Linear(3, 2).double(), torch.randn(4, 3, dtype=torch.float64)
    affine_map = linearize(lambda x: layer(x.round()), x)
    expected = layer(x.round()).detach()
    assert torch.equal(affine_map.weight(1), torch.zeros_like(x))
    torch.testing.assert_close(affine_map.bias(), expected)
    torch.testing.assert_close(affine_map.bias(1), expected[:, 1])
    (entry,) = affine_map.bias_ledger(1).values()
    torch.testing.assert_close(entry, expected[:, 1].sum())


WRITES_AFTER_LINEAR = {
    "relu": lambda y: y.relu_(),
    "add": lambda y: y.add_(1),
    "part": lambda y: y[:, 1:].mul_(3),
    "view": lambda y: y.view(-1)[::2].sub_(2),
}


@pytest.mark.parametrize("write", WRITES_AFTER_LINEAR)
def test_writing_into_the_result_of_a_layer_keeps_the_layers_constant(write: str) -> None:
    """Of three dimensions, ``linear`` returns a view of a matrix of its own."""
    layer, x = nn.Linear(3, 4).double(), torch.randn(2, 5, 3, dtype=torch.float64)

    def forward(x: Tensor) -> Tensor:
        y = layer(x)
        WRITES_AFTER_LINEAR[write](y)
        return y

    affine_map = linearize(forward, x)
    with torch.no_grad():
        slope = forward(x) - affine_map.bias()
        moved = torch.einsum("btoik,bik->bto", affine_map.weight(), x)
    torch.testing.assert_close(slope, moved, rtol=1e-12, atol=1e-13)
    affine_map.check()


def test_a_slope_of_zero_that_owes_nothing_to_the_output(x: Tensor) -> None:
    """PyTorch's slope in the sign is a zero made without the gradient that flows in."""
    magnitude = torch.randn(FEATURES, dtype=torch.float64)
    affine_map = linearize(lambda x: torch.copysign(magnitude, x + 1), x)
    assert torch.equal(affine_map.bias(), affine_map.outputs)
    both = linearize(lambda x: torch.copysign(x, x + 1), x)
    assert torch.equal(both.bias(), torch.zeros_like(x))
    both.check()
