"""b by module for each row, and F as a sum of bars.

The references know nothing of a ledger: in a ReLU network what a bias gives to an output is
the plain network's own gradient in it, times the bias; elsewhere each row is run alone.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    BiasLedger,
    LedgerError,
    MissingTargetError,
    Site,
    Waterfall,
    linearize,
)
from tests.fingerprint import untouched
from tests.networks import (
    ConvNet,
    TinyTransformer,
    TwoInputs,
    relu_mlp,
    residual_convnet,
    smooth_mlp,
)

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}


def by_parameter(network: nn.Module, output: Tensor) -> dict[str, float]:
    """Module path → what its constants give to one output of a ReLU network."""
    found = {}
    for path, module in network.named_modules():
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            (gradient,) = torch.autograd.grad(output, bias, retain_graph=True)
            found[path] = float((gradient * constant(module).detach()).sum())
    return found


def constant(module: Any) -> Tensor:
    """What a layer adds to its output's channels: of a batch norm, β − γ μ/√(σ² + ε)."""
    if not isinstance(module, nn.BatchNorm2d):
        return module.bias
    scale = module.weight / (module.running_var + module.eps).sqrt()
    return module.bias - scale * module.running_mean


CASES = {
    "mlp": (lambda: relu_mlp(3, 6, 7, 4), (3,)),
    "convolutions and batch norm": (ConvNet, (3, 12, 12)),
    "written in place": (residual_convnet, (3, 12, 12)),
}


@pytest.mark.parametrize("rows", [1, 2, 7], ids="{} rows".format)
@pytest.mark.parametrize(("make", "shape"), CASES.values(), ids=list(CASES))
def test_modules_give_what_their_parameters_give(make: Any, shape: Any, rows: int) -> None:
    """Read row by row of few rows, and module by module of many."""
    network, x = make(), torch.randn(rows, *shape, dtype=torch.float64)
    found = linearize(network, x).bias_ledger(target=1).by_module()
    for row in range(rows):
        expected = by_parameter(network, network(x)[row, 1])
        assert found.keys() == expected.keys()
        for path, value in expected.items():
            assert float(found[path][row]) == pytest.approx(value, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize(
    ("depth", "names"),
    [
        (None, ["0", "1.body.0", "1.body.1", "1.body.3", "4"]),
        (3, ["0", "1.body.0", "1.body.1", "1.body.3", "4"]),
        (2, ["0", "1.body", "4"]),
        (1, ["0", "1", "4"]),
        (0, [""]),
    ],
)
@pytest.mark.parametrize("rows", [1, 6])
def test_paths_are_cut_to_a_depth(rows: int, depth: int | None, names: list[str]) -> None:
    network, x = residual_convnet(), torch.randn(rows, 3, 12, 12, dtype=torch.float64)
    affine_map = linearize(network, x)
    found = affine_map.bias_ledger(target=0).by_module(depth)
    assert list(found) == names
    for row in range(rows):
        apart = by_parameter(network, network(x)[row, 0])
        for name, value in found.items():
            inside = [v for path, v in apart.items() if f"{path}.".startswith(name)]
            assert float(value[row]) == pytest.approx(sum(inside), rel=1e-12, abs=1e-13)


# layouts whose rows the shape does not tell


class Windows(nn.Module):
    """Windows of two places, the first of every row, then the second of every row, ..."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mix, self.head = nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.shift = nn.Parameter(torch.randn(2, 4))
        nn.init.normal_(self.norm.bias)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unflatten(1, (3, 2)).transpose(0, 1).reshape(-1, 2, 4) + self.shift
        windows = F.gelu(self.mix(self.norm(windows)))
        return self.head(windows.reshape(3, len(x), 2, 4).mean((0, 2)))


class OneByOne(nn.Module):
    """Each row through the network alone: every row has its own calls."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        rows = [self.head(F.gelu(self.body(row))) for row in x]
        return torch.stack(rows).mean(1)


class BatchLast(nn.Module):
    """A table that all rows share, and the batch in the last dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(6, 4, 1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        y = x.movedim(0, -1)
        return ((y * self.table).relu() + self.table).sum(1)[:3].T


LAYOUTS = {
    "windows": Windows,
    "sequence first": lambda: TinyTransformer(batch_first=False),
    "batch first": lambda: TinyTransformer(batch_first=True),
    "one by one": OneByOne,
    "batch last": BatchLast,
}
TARGETS = [2, 0, 1, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 1, 2]


def sample(name: str, rows: int) -> tuple[nn.Module, Tensor]:
    network = LAYOUTS[name]()
    shape = (5, 8) if isinstance(network, TinyTransformer) else (6, 4)
    return network, torch.randn(rows, *shape, dtype=torch.float64)


def largest_error_of_rows(name: str, rows: int, read: Any) -> float:
    """Of ``read(affine_map, targets)``, module → (rows,), against each row alone."""
    network, x = sample(name, rows)
    together = read(linearize(network, x), TARGETS[:rows])
    errors = []
    for row in range(rows):
        alone = linearize(network, x[row : row + 1]).bias_ledger(TARGETS[row]).by_module()
        assert together.keys() == alone.keys()
        errors += [float((together[m][row] - alone[m][0]).abs()) for m in alone]
    return max(errors)


@pytest.mark.parametrize("rows", [3, 15])
@pytest.mark.parametrize("name", LAYOUTS)
def test_contributions_belong_to_their_row_in_any_layout(name: str, rows: int) -> None:
    error = largest_error_of_rows(name, rows, lambda m, t: m.bias_ledger(t).by_module())
    assert error < 1e-13


@pytest.mark.parametrize("name", ["windows", "sequence first", "batch last"])
def test_rows_read_from_the_shape_would_be_noticed(name: str) -> None:
    def reshaped(affine_map: Any, targets: list[int]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for site, entry in affine_map.bias_ledger(targets).items():
            value = entry.reshape(3, -1).sum(1)
            found[site.module] = found.get(site.module, torch.zeros(3)) + value
        return found

    assert largest_error_of_rows(name, 3, reshaped) > 1e-3


@pytest.mark.parametrize("depth", [None, 0])
@pytest.mark.parametrize("name", LAYOUTS)
def test_one_row_of_a_batch(name: str, depth: int | None) -> None:
    network, x = sample(name, 3)
    affine_map = linearize(network, x)
    together = affine_map.bias_ledger(1).by_module(depth)
    for row in range(3):
        found = affine_map.bias_ledger(1, row=row).by_module(depth)
        for module, value in found.items():
            assert value.shape == (1,)
            torch.testing.assert_close(value[0], together[module][row], **ROUNDING)


# what else there is


@pytest.mark.parametrize("rows", [1, 4])
def test_an_output_that_is_constant_is_its_own_entry(rows: int) -> None:
    affine_map = linearize(torch.round, torch.arange(4.0)[:rows, None] + 0.2)
    ledger = affine_map.bias_ledger()
    assert list(ledger) == [Site("", "constant")]
    assert torch.equal(ledger.by_module()[""], torch.arange(4.0)[:rows])
    assert torch.equal(affine_map.waterfall().features, torch.zeros(rows))


@pytest.mark.parametrize("rows", [1, 4])
def test_without_constants_there_are_no_modules(rows: int) -> None:
    network, x = nn.Linear(3, 1, bias=False).double(), torch.randn(rows, 3).double()
    affine_map = linearize(network, x)
    assert affine_map.bias_ledger().by_module() == {}
    waterfall = affine_map.waterfall()
    assert waterfall.names == ("⟨W, x⟩",)
    torch.testing.assert_close(waterfall.total, affine_map.outputs[:, 0], **ROUNDING)


def test_a_ledger_reads_like_a_dict() -> None:
    network, x = relu_mlp(3, 6, 4), torch.randn(2, 3, dtype=torch.float64)
    ledger = linearize(network, x).bias_ledger(0)
    assert isinstance(ledger, BiasLedger)
    assert dict(ledger) == {site: ledger[site] for site in ledger}
    assert [*ledger] == [("0", "linear"), ("2", "linear")]
    assert ("0", "linear") in ledger
    assert repr(ledger) == "BiasLedger(2 entries, 2 rows)"
    with pytest.raises(KeyError):
        ledger["1", "relu"]


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_read_by_callers_without_gradients(caller: Any) -> None:
    network, x = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    expected = linearize(network, x).bias_ledger(1).by_module()
    with caller():
        found = linearize(network, x.clone()).bias_ledger(1)
        torch.testing.assert_close(found.by_module(), expected, rtol=0, atol=0)
        assert not any(value.requires_grad for value in found.by_module(0).values())


def test_nothing_is_left_behind() -> None:
    network, x = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    with untouched(network, x):
        affine_map = linearize(network, x)
        affine_map.bias_ledger(0).by_module()
        affine_map.bias_ledger(0).by_module(0)
        affine_map.waterfall(0)
    with untouched(network, x), pytest.raises(LedgerError):
        affine_map.waterfall(0, depth=-1)


# the waterfall


@pytest.mark.parametrize("depth", [None, 0, 1])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: relu_mlp(3, 6, 4), (3,)),
        (smooth_mlp, (3,)),
        (ConvNet, (3, 12, 12)),
        (lambda: TinyTransformer(batch_first=False), (5, 8)),
    ],
    ids=["relu mlp", "smooth mlp", "convnet", "transformer"],
)
def test_bars_add_up_to_the_output(make: Any, shape: Any, depth: int | None) -> None:
    network, x = make(), torch.randn(4, *shape, dtype=torch.float64)
    affine_map = linearize(network, x)
    waterfall = affine_map.waterfall([0, 2, 1, 0], depth=depth)
    with torch.no_grad():
        expected = network(x)[range(4), [0, 2, 1, 0]]
    torch.testing.assert_close(waterfall.total, expected, **ROUNDING)
    product = (affine_map.weight([0, 2, 1, 0]) * x).flatten(1).sum(1)
    torch.testing.assert_close(waterfall.features, product, **ROUNDING)
    assert waterfall.values.shape == (len(waterfall.names), 4)
    assert waterfall.features.abs().min() > 1e-3


def test_a_lost_bar_would_be_noticed() -> None:
    network, x = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    whole = linearize(network, x).waterfall(0)
    for name in whole.modules:
        others = {path: bar for path, bar in whole.modules.items() if path != name}
        part = Waterfall(whole.features, others)
        assert (part.total - whole.total).abs().max() > 1e-3


def test_bars_are_named_in_the_order_of_the_calls() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.features = nn.Linear(4, 2), nn.Sequential(nn.Linear(3, 4))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.features(x) + 1)

    waterfall = linearize(Named(), torch.ones(1, 3)).waterfall(0)
    assert waterfall.names == ("⟨W, x⟩", "features", "(no module)", "head")
    assert list(waterfall.modules) == ["features", "", "head"]


def test_features_of_several_inputs_are_one_bar() -> None:
    network, a, b = TwoInputs().double(), torch.randn(2, 3).double(), torch.randn(2, 2).double()
    affine_map = linearize(network, (a, b))
    for_a, for_b = affine_map.weight(1)
    expected = (for_a * a).sum(1) + (for_b * b).sum(1)
    waterfall = affine_map.waterfall(1)
    torch.testing.assert_close(waterfall.features, expected, **ROUNDING)
    torch.testing.assert_close(waterfall.total, affine_map.outputs[:, 1], **ROUNDING)


# bad input


@pytest.mark.parametrize("depth", [-1, True, 1.0, "1"])
def test_a_depth_that_is_none(depth: Any) -> None:
    affine_map = linearize(relu_mlp(3, 6, 4), torch.randn(2, 3, dtype=torch.float64))
    message = (
        r"^depth must be an int >= 0, how many names of a module's path to keep, or None for "
        rf"all of them, but got {depth!r}\.$"
    )
    with pytest.raises(LedgerError, match=message):
        affine_map.bias_ledger(0).by_module(depth)
    with pytest.raises(LedgerError, match=message):
        affine_map.waterfall(0, depth=depth)


def test_a_missing_target() -> None:
    affine_map = linearize(relu_mlp(3, 6, 4), torch.randn(2, 3, dtype=torch.float64))
    with pytest.raises(MissingTargetError, match=r"^No target was given, but forward_func"):
        affine_map.waterfall()
