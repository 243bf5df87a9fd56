"""Regions of piecewise linear networks: where they end, against bisection on the network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, PointError, RegionError, linearize
from tests.networks import ConvNet, relu_mlp, residual_convnet, smooth_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

# Bisection halves an interval of order 1 until rounding: 1e-15, amplified by 1/slope.
BISECTED = 1e-6
ERROR = 1e-12

_slope = torch.full((6,), 0.3, dtype=torch.float64)


def chosen_by_argmax(z: Tensor) -> Tensor:
    return z.gather(1, z.argmax(1, keepdim=True))


def image(z: Tensor) -> Tensor:
    """(batch, 42) as images of 6 by 7."""
    return z.reshape(-1, 1, 6, 7)


def pooled(**options: object) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Max pooling, and the indices it chooses."""

    def pool(z: Tensor) -> Tensor:
        return F.max_pool2d(image(z), 3, **options).flatten(1)

    def indices(z: Tensor) -> Tensor:
        return F.max_pool2d_with_indices(image(z), 3, **options)[1].flatten(1)

    return pool, indices


# name: (op, what tells its pieces apart); both of z, (batch, units).
PIECEWISE: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "relu": (F.relu, lambda z: z > 0),
    "leaky_relu": (lambda z: F.leaky_relu(z, 0.1), lambda z: z > 0),
    "prelu": (lambda z: F.prelu(z, _slope), lambda z: z > 0),
    "relu6": (lambda z: F.relu6(5 * z), lambda z: (z > 0) + (5 * z > 6).int()),
    "hardtanh": (F.hardtanh, lambda z: (z > -1) + (z > 1).int()),
    "hardsigmoid": (lambda z: F.hardsigmoid(3 * z), lambda z: (z > -1) + (z > 1).int()),
    "clamp": (lambda z: z.clamp(-0.5, 0.7), lambda z: (z > -0.5) + (z > 0.7).int()),
    "clamp_min": (lambda z: z.clamp_min(0.2), lambda z: z > 0.2),
    "clamp_max": (lambda z: torch.clamp_max(z, 0.2), lambda z: z > 0.2),
    "threshold": (lambda z: F.threshold(z, 0.4, 0.4), lambda z: z > 0.4),
    "hardshrink": (F.hardshrink, lambda z: (z > 0.5) + (z > -0.5).int()),
    "softshrink": (F.softshrink, lambda z: (z > 0.5) + (z > -0.5).int()),
    "abs": (torch.abs, lambda z: z > 0),
    "maximum": (lambda z: torch.maximum(z, z.flip(1)), lambda z: z > z.flip(1)),
    "max of two": (lambda z: torch.max(z, other=z.flip(1)), lambda z: z > z.flip(1)),
    "min of two": (lambda z: torch.min(z, z.flip(1)), lambda z: z > z.flip(1)),
    "max": (lambda z: z.max(1).values, lambda z: z.argmax(1, keepdim=True)),
    "min": (lambda z: z.min(1).values, lambda z: z.argmin(1, keepdim=True)),
    "amax": (lambda z: z.amax(1), lambda z: z.argmax(1, keepdim=True)),
    "amin": (lambda z: z.amin(dim=1), lambda z: z.argmin(1, keepdim=True)),
    "argmax": (chosen_by_argmax, lambda z: z.argmax(1, keepdim=True)),
    "topk": (lambda z: z.topk(3, 1).values, lambda z: z.topk(3, 1).indices),
    "smallest": (
        lambda z: torch.topk(z, 2, 1, largest=False).values,
        lambda z: z.topk(2, 1, largest=False).indices,
    ),
    "sort": (lambda z: z.sort(1, descending=True).values, lambda z: z.argsort(1)),
    "median": (
        lambda z: z.median(1).values,
        lambda z: (z - z.median(1, keepdim=True).values).sign(),
    ),
    "kthvalue": (
        lambda z: z.kthvalue(2, 1).values,
        lambda z: (z - z.kthvalue(2, 1, keepdim=True).values).sign(),
    ),
    "where": (lambda z: torch.where(z > 0.3, z, -2 * z), lambda z: z > 0.3),
    "sign": (lambda z: z * z.sign(), lambda z: z > 0),
    "max_pool1d": (
        lambda z: F.max_pool1d(z[:, None], 3, 2, padding=1).flatten(1),
        lambda z: F.max_pool1d_with_indices(z[:, None], 3, 2, padding=1)[1].flatten(1),
    ),
    "max_pool2d": pooled(stride=2, padding=1),
    "max_pool2d dilated": pooled(stride=1, dilation=2, padding=1),
    "max_pool2d ceiling": pooled(stride=2, ceil_mode=True),
    "adaptive_max_pool2d": (
        lambda z: F.adaptive_max_pool2d(image(z), (4, 3)).flatten(1),
        lambda z: F.adaptive_max_pool2d_with_indices(image(z), (4, 3))[1].flatten(1),
    ),
}


def bisected(pattern: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor) -> Tensor:
    """First t at which the pattern of x + t d changes, inf if not before t = 2^20.

    A region is convex, so that its pattern holds on one interval of each line.
    """

    def is_same(t: Tensor) -> Tensor:
        shape = (-1, *[1] * (x.dim() - 1))
        found = pattern(x + t.reshape(shape) * directions)
        return (found == pattern(x)).flatten(1).all(1)

    low, high = torch.zeros(2, len(directions), dtype=x.dtype)
    high += 2.0**-20
    for _ in range(40):
        high = torch.where(is_same(high), 2 * high, high)
    is_endless = is_same(high)
    for _ in range(80):
        middle = (low + high) / 2
        inside = is_same(middle)
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return high.masked_fill(is_endless, math.inf)


@pytest.mark.parametrize("name", PIECEWISE)
def test_exit_is_where_bisection_finds_it(name: str) -> None:
    op, pattern = PIECEWISE[name]
    torch.manual_seed(0)
    units = 42 if "pool2d" in name else 6
    first = nn.Linear(4, units).double()
    x, directions = torch.randn(1, 4).double(), torch.randn(20, 4).double()
    affine_map = linearize(lambda x: op(first(x)), x)
    region = affine_map.region()
    with torch.no_grad():
        expected = bisected(lambda x: pattern(first(x)), x, directions)
    for direction, step in zip(directions, expected.tolist(), strict=True):
        assert region.exit(direction[None]).step == pytest.approx(step, rel=BISECTED)


def relu_patterns(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Signs before every ReLU and choices of every pooling, read by hooks."""

    def pattern(x: Tensor) -> Tensor:
        found: list[Tensor] = []

        def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if isinstance(module, nn.ReLU):
                found.append((args[0] > 0).flatten(1).int())
            elif isinstance(module, nn.MaxPool2d):
                _, indices = F.max_pool2d_with_indices(
                    args[0], module.kernel_size, module.stride, module.padding
                )
                is_tie = F.max_pool2d(args[0], module.kernel_size, module.stride) == 0
                found.append(indices.masked_fill(is_tie, -1).flatten(1).int())

        hooks = [m.register_forward_pre_hook(note) for m in network.modules()]
        try:
            with torch.no_grad():
                network(x)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat(found, 1)

    return pattern


NETWORKS = {
    "perceptron": (lambda: relu_mlp(5, 8, 8, 3), (1, 5), 1000),
    "convolutions": (ConvNet, (1, 3, 12, 12), 60),
    "residual": (residual_convnet, (1, 3, 12, 12), 60),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_map_is_the_network_up_to_the_exit_and_a_unit_flips_just_beyond(name: str) -> None:
    make, shape, count = NETWORKS[name]
    torch.manual_seed(0)
    network = make().double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    directions = torch.randn(count, *shape[1:], dtype=torch.float64)
    affine_map = linearize(network, x)
    region, pattern = affine_map.region(), relu_patterns(network)
    exits = [region.exit(direction[None]) for direction in directions]
    expected = bisected(pattern, x, directions).tolist()
    assert [found.step for found in exits] == pytest.approx(expected, rel=BISECTED)
    for direction, found in zip(directions[:60], exits, strict=False):
        reach = min(found.step, 100.0)
        for part in (0.1, 0.5, 1 - 1e-9):
            point = x + part * reach * direction
            torch.testing.assert_close(
                affine_map(point), network(point), rtol=ERROR, atol=ERROR * 1e2
            )
        if found.step < math.inf:
            beyond = x + (1 + 1e-6) * found.step * direction
            assert (pattern(beyond) != pattern(x)).any()


def test_the_unit_named_is_the_one_that_flips() -> None:
    torch.manual_seed(0)
    network, x = relu_mlp(5, 8, 3), torch.randn(1, 5).double()
    region = linearize(network, x).region()
    for direction in torch.randn(50, 1, 5).double():
        found = region.exit(direction)
        assert (found.op, found.module) == ("relu", "1")
        before = network[0](x)[found.unit]
        after = network[0](x + (1 + 1e-6) * found.step * direction)[found.unit]
        assert before * after < 0


def test_outside_the_region_the_map_fails() -> None:
    """The tests above would pass on a network that is affine everywhere."""
    torch.manual_seed(0)
    network, x = relu_mlp(5, 8, 3), torch.randn(1, 5).double()
    affine_map = linearize(network, x)
    direction = torch.randn_like(x)
    far = x + 3 * affine_map.region().exit(direction).step * direction
    assert (affine_map(far) - network(far)).abs().max() > 1e-3


def test_margin_is_the_distance_to_the_nearest_of_all_hyperplanes() -> None:
    torch.manual_seed(0)
    network, x = relu_mlp(4, 6, 5, 3), torch.randn(1, 4).double()
    slope, distances = torch.eye(4, dtype=torch.float64), []
    z = x[0]
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                slope, z = layer.weight @ slope, layer(z)
            else:
                distances.append(z.abs() / slope.norm(dim=1))
                slope, z = slope * (z > 0)[:, None], z.relu()
    margin = linearize(network, x).region().margin(rows=4)
    assert margin.distance == pytest.approx(float(torch.cat(distances).min()), rel=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_direction_leaves_before_the_margin(name: str) -> None:
    make, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    region = linearize(make().double().eval(), x).region()
    distance = region.margin().distance
    for direction in torch.randn(40, *shape, dtype=torch.float64):
        assert region.exit(direction / direction.norm()).step >= distance * (1 - 1e-12)


def test_a_margin_is_reached_along_its_own_normal() -> None:
    torch.manual_seed(0)
    network, x = relu_mlp(4, 6, 3), torch.randn(1, 4).double()
    region = linearize(network, x).region()
    margin = region.margin()
    normal = network[0].weight[margin.unit[1]].detach()[None]
    steps = [region.exit(sign * normal / normal.norm()).step for sign in (1, -1)]
    assert min(steps) == pytest.approx(margin.distance, rel=1e-12)


def test_an_affine_network_has_no_boundary() -> None:
    region = linearize(nn.Linear(3, 2), torch.ones(1, 3)).region()
    assert region.units == 0
    assert region.exit(torch.ones(1, 3)) == (math.inf, "", "", ())
    assert region.margin() == (math.inf, "", "", ())


def test_at_a_kink_one_side_is_inside() -> None:
    region = linearize(F.relu, torch.zeros(1, 1)).region()
    assert region.exit(torch.ones(1, 1)).step == 0
    assert region.exit(-torch.ones(1, 1)).step == math.inf


# name: (function, x, direction, step), at a kink, where the sides of x are told by hand.
AT_A_KINK: dict[str, tuple[Callable[[Tensor], Tensor], list[float], list[float], float]] = {
    "relu, across": (F.relu, [0.0], [1.0], 0.0),
    "relu at −0, across": (F.relu, [-0.0], [1.0], 0.0),
    "relu, away": (F.relu, [0.0], [-1.0], math.inf),
    "relu, still": (F.relu, [0.0, 2.0], [0.0, -1.0], 2.0),
    "relu6 at 6, into the linear piece": (F.relu6, [6.0], [-1.0], 0.0),
    "relu6 at 6, away": (F.relu6, [6.0], [1.0], math.inf),
    "clamp at its minimum, away": (lambda z: z.clamp(0, 1), [0.0], [0.5], 2.0),
    "clamp at its minimum, across": (lambda z: z.clamp(0, 1), [0.0], [-0.5], 0.0),
    "clamp at its maximum, across": (lambda z: z.clamp(0, 1), [1.0], [0.5], 0.0),
    "abs, either way": (torch.abs, [0.0], [-1.0], 0.0),
    "max of equals, apart": (lambda z: z.max(1).values, [1.0, 1.0], [-1.0, 1.0], 0.0),
    "max of equals, together": (lambda z: z.max(1).values, [1.0, 1.0], [1.0, 1.0], math.inf),
    "max of what relu holds at 0": (
        lambda z: F.max_pool1d(z[:, None].relu(), 2),
        [-3.0, -2.0],
        [1.0, 1.0],
        2.0,
    ),
    "sort of equals, kept in order": (
        lambda z: z.sort(1).values,
        [1.0, 1.0],
        [0.0, 1.0],
        math.inf,
    ),
    "pooling of equals, the chosen stays": (
        lambda z: F.max_pool1d(z[:, None], 2),
        [1.0, 1.0],
        [1.0, 0.5],
        math.inf,
    ),
    "pooling of equals, the other overtakes": (
        lambda z: F.max_pool1d(z[:, None], 2),
        [1.0, 1.0],
        [0.5, 1.0],
        0.0,
    ),
}


@pytest.mark.parametrize("name", AT_A_KINK)
def test_at_a_kink_the_side_decides(name: str) -> None:
    function, x, direction, step = AT_A_KINK[name]
    point, move = torch.tensor([x]).double(), torch.tensor([direction]).double()
    assert linearize(function, point).region().exit(move).step == step


def test_a_batch_leaves_with_its_first_row() -> None:
    region = linearize(F.relu, torch.tensor([[4.0], [3.0]])).region()
    assert region.exit(torch.tensor([[-1.0], [-1.0]])) == (3.0, "relu", "", (1, 0))
    assert region.exit(torch.tensor([[-1.0], [0.0]])) == (4.0, "relu", "", (0, 0))


def test_several_inputs_move_together() -> None:
    inputs = (torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    region = linearize(lambda a, b: F.relu(a + b), inputs).region()
    assert region.exit((torch.zeros(1, 1), -torch.ones(1, 1))).step == 3
    assert region.margin().distance == pytest.approx(3 / math.sqrt(2))


def test_the_model_is_untouched() -> None:
    network, x = ConvNet().double().eval(), torch.randn(1, 3, 12, 12).double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    region = linearize(network, x).region()
    region.exit(torch.ones_like(x))
    region.margin()
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    assert x.grad is None
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def _without_gradients(x: Tensor) -> Tensor:
    with torch.no_grad():
        scale = 2 * x
    return scale * 1.0 + x


SMOOTH = {
    "gelu in '1' is not known": smooth_mlp,
    "mul is not known": lambda: lambda x: x * x,
    "softmax is not known": lambda: lambda x: x.softmax(1),
    "mul holds constant": lambda: _without_gradients,
    "detach holds constant": lambda: lambda x: x.detach() + x,
    "detach_ holds constant": lambda: lambda x: x.clone().detach_() + x,
    "layer_norm is not known": lambda: lambda x: F.layer_norm(x, (3,)),
    "remainder is not known": lambda: lambda x: x % 2,
    "quantile is not known": lambda: lambda x: x.quantile(0.3, 1),  # kinks where order changes
}


@pytest.mark.parametrize("where", SMOOTH)
def test_a_smooth_network_has_no_region_and_the_op_is_named(where: str) -> None:
    affine_map = linearize(SMOOTH[where](), torch.randn(1, 3).double())
    with pytest.raises(RegionError, match=f"^The network has no region, because {where}"):
        affine_map.region()


def test_the_message_of_a_smooth_network() -> None:
    with pytest.raises(RegionError) as error:
        linearize(smooth_mlp(), torch.randn(1, 3).double()).region()
    assert str(error.value) == (
        "The network has no region, because gelu in '1' is not known to be piecewise affine: "
        "away from the operating point it may differ from the map at once, not from an edge "
        "on. Measure how far the map holds with affine_map.validity(direction, steps)."
    )


def test_a_rule_that_replaces_the_slope_has_no_region() -> None:
    rules = DEFAULT_RULES | {F.relu: lambda input, inplace=False: input.relu().detach()}
    with pytest.raises(RegionError, match="relu is not known"):
        linearize(lambda x: F.relu(x) + x, torch.ones(1, 2), rules=rules).region()


def test_a_direction_of_another_shape_or_zero() -> None:
    affine_map = linearize(F.relu, torch.ones(1, 2))
    for measure in (affine_map.region().exit, lambda d: affine_map.validity(d, [1.0])):
        with pytest.raises(PointError, match=r"^direction has shape \(2,\); expected \(1, 2\)"):
            measure(torch.ones(2))
        with pytest.raises(PointError) as error:
            measure(torch.zeros(1, 2))
        assert str(error.value) == (
            "direction is zero everywhere, so it leads nowhere. Pass a direction to move in."
        )
        with pytest.raises(PointError, match=r"^direction holds NaN"):
            measure(torch.full((1, 2), math.nan))


def test_too_many_units_for_a_margin() -> None:
    region = linearize(F.relu, torch.ones(1, 3)).region()
    with pytest.raises(RegionError) as error:
        region.margin(max_units=2)
    assert str(error.value) == (
        "The region is bounded by 3 gaps, each of which costs a backward pass; max_units is "
        "2. Call margin_bound(), which measures few of them, or pass a larger max_units to "
        "wait for all."
    )


def test_validity_is_the_error_of_the_map_by_definition() -> None:
    torch.manual_seed(0)
    network, x = smooth_mlp(), torch.randn(2, 3).double()
    direction, steps = torch.randn_like(x), [0.0, 1e-3, 0.1, 2.0]
    affine_map = linearize(network, x)
    errors = affine_map.validity(direction, steps)
    for step, found in zip(steps, errors, strict=True):
        point = x + step * direction
        wrong = (network(point) - affine_map(point)).abs().amax(1) / network(x).abs().amax(1)
        torch.testing.assert_close(found, wrong.detach(), rtol=1e-9, atol=1e-14)
    assert (errors[0] < 1e-14).all()
    assert (errors[1] > 1e-9).all()


def test_an_exported_program_has_the_region_of_its_model() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(64, 2))
    model, x = nn.Sequential(*layers).double(), torch.randn(1, 3, 12, 12).double()
    program = torch.export.export(model, (x,)).module()
    direction = torch.randn_like(x)
    expected = linearize(model, x).region().exit(direction)
    found = linearize(program, x).region().exit(direction)
    assert found.step == pytest.approx(expected.step, rel=1e-12)
    assert found.unit == expected.unit
