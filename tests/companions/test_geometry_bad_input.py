"""What geometric metrics refuse, by the text of the message; the model stays as it was."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from captum_ilin import linearize
from captum_ilin.companions.errors import CompanionInputError, CompanionPackageError
from captum_ilin.companions.geometry import (
    compare,
    feature_geometry,
    input_geometry,
    local_boundary,
)
from captum_ilin.errors import IlinError
from tests.fingerprint import untouched

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(12, 5, generator=GENERATOR)
Y = torch.randint(3, (12,), generator=GENERATOR)
DATA = TensorDataset(X, Y)


@pytest.fixture(scope="module", autouse=True)
def _compiler_imported() -> None:
    """PyTorch wraps its own manual_seed when first it loads its compiler; not our doing."""
    input_geometry(model(), (X, Y), reach=None)


def model(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, outputs)).eval()


class Functional(nn.Module):
    """A classifier whose last product is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


def refusal(
    read: Any, network: Any, data: Any = DATA, *, draws: bool = False, **options: Any
) -> str:
    with untouched(network, X, Y, draws=draws), pytest.raises(IlinError) as refused:
        read(network, data, **options)
    return str(refused.value)


def edited(change: Any) -> nn.Sequential:
    network = model()
    with torch.no_grad():
        change(network)
    return network


def dead_for(example: int) -> nn.Sequential:
    """A network that at one example has no active unit, and at all others has."""

    def change(network: Any) -> None:
        x = X[example]
        off = x @ x - 1e-3
        network[0].weight.copy_(torch.stack([x, -x, *torch.eye(5)[:4]]))
        network[0].weight[2:] *= 0
        network[0].bias.copy_(torch.tensor([-off - 2e-3, off, -1.0, -1.0, -1.0, -1.0]))

    return edited(change)


def equal_rows(network: Any) -> None:
    network[2].weight[2] = network[2].weight[0]


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (Functional(), {}, "No linear head: Functional calls no nn.Linear on these inputs."),
        (
            nn.Sequential(model(), nn.Softmax(1)),
            {},
            "No linear head: what the model returns is not what the last nn.Linear, '0.2',",
        ),
        (model(), {"head": "1"}, "The head must be an nn.Linear, for only then are the logits"),
        (model(), {"head": "9"}, "There is no layer '9' in the model (Sequential)."),
        (model(1), {}, "The head '2' has one output, whose softmax is 1 whatever it is."),
        (
            edited(equal_rows),
            {},
            "Rows 0 and 2 of the head '2' are equal, so that no boundary is between their",
        ),
        (
            edited(lambda network: network[2].weight[1].zero_()),
            {},
            "Row 1 of the head '2' is all 0, so that no feature has an angle to it.",
        ),
        (
            nn.Sequential(nn.Linear(5, 40), nn.Dropout(), nn.Linear(40, 3)),
            {},
            "The model gives other features for the same batch when it is run again",
        ),
    ],
)
def test_heads(network: Any, options: Any, message: str) -> None:
    assert message in refusal(feature_geometry, network, **options, draws=dropping(network))


def dropping(network: nn.Module) -> bool:
    return any(isinstance(module, nn.Dropout) for module in network.modules())


@pytest.mark.parametrize("batch_size", [2, 12])
def test_a_dead_feature_vector_has_no_angle(batch_size: int) -> None:
    said = refusal(feature_geometry, dead_for(7), batch_size=batch_size)
    assert "The features of example 7 are all 0 (1 in its batch), so that they have no" in said
    assert "Leave such examples out, or prune less." in said


@pytest.mark.parametrize("read", [feature_geometry, input_geometry])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TensorDataset(X), "The data give no labels, and a margin is that of a label."),
        ((X,), "The data give no labels, and a margin is that of a label."),
        (
            TensorDataset(X, Y.double()),
            "but those from example 0 on are (5,) of torch.float64",
        ),
        (
            TensorDataset(X, Y[:, None]),
            "Labels must be whole numbers, (batch,), but those from",
        ),
        (
            TensorDataset(X, Y.clone().index_fill_(0, torch.tensor(8), 3)),
            "Labels must be from 0 to 2, because the model has 3 outputs, but example 8 has "
            "the label 3.",
        ),
        (
            TensorDataset(X, Y.clone().index_fill_(0, torch.tensor(0), -1)),
            "but example 0 has the label -1.",
        ),
        (TensorDataset(X[:0], Y[:0]), "There are no examples: the data give no batch."),
        (DataLoader(DATA, shuffle=True), "The loader shuffles, so that the numbers of its"),
        (
            X,
            "The data must be a DataLoader, a Dataset, or a tuple of tensors whose last one is",
        ),
        ((X, Y[:5]), "with one row for each example, but have the shapes [(12, 5), (5,)]."),
        ((X, 3), "a tuple of tensors whose last one is the labels, but got a tuple."),
        (
            (X.clone().index_fill_(0, torch.tensor(9), torch.nan), Y),
            "of example 9 are NaN or infinite, so that it has no margin. Leave ",
        ),
    ],
)
def test_data(read: Any, data: Any, message: str) -> None:
    options = {"reach": None} if read is input_geometry else {}
    assert message in refusal(read, model(), data, batch_size=5, **options)


@pytest.mark.parametrize("read", [feature_geometry, input_geometry])
def test_a_function_is_no_model(read: Any) -> None:
    with pytest.raises(CompanionInputError, match=r"must be an nn\.Module, but got a builtin"):
        read(torch.relu, DATA)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (
            nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 3)),
            {},
            "How far the boundary's map holds cannot be said. The network has no region, "
            "because gelu in '1'",
        ),
        (
            nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 3)),
            {"reach": "exit"},
            "With reach=None the margin is that of the map alone, and nothing says how far",
        ),
        (
            model(),
            {"reach": "far"},
            "reach must be one of 'margin', 'margin_bound', 'exit', No",
        ),
        (model(1), {}, "The model has one output, and a margin is between two classes."),
        (
            nn.Sequential(nn.Linear(5, 6), nn.Unflatten(1, (2, 3))),
            {},
            "The model must return logits, (batch, classes), but returned (1, 2, 3).",
        ),
    ],
)
def test_networks_in_the_input_space(network: Any, options: Any, message: str) -> None:
    assert message in refusal(input_geometry, network, **options)


def test_inputs_without_distances() -> None:
    embedding = nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 3)).eval()
    tokens = torch.randint(9, (4, 6))
    with pytest.raises(CompanionInputError, match=r"example 0 holds torch\.int64"):
        input_geometry(embedding, (tokens, torch.zeros(4).long()))
    feature_geometry(embedding, (tokens, torch.zeros(4).long()))


def test_a_boundary_is_that_of_one_example() -> None:
    with pytest.raises(CompanionInputError) as refused:
        local_boundary(linearize(model(), X[:2]))
    assert "but the map's outputs are (2, 3). Linearize one row, x[:1]." in str(refused.value)


def test_a_model_is_no_map() -> None:
    with pytest.raises(
        CompanionInputError, match=r"got a Sequential. Pass linearize\(model, x"
    ):
        local_boundary(model())  # type: ignore[arg-type]


def test_a_region_of_too_many_units_is_not_waited_for() -> None:
    wide = nn.Sequential(nn.Linear(5, 100_001), nn.ReLU(), nn.Linear(100_001, 2))
    assert "Call margin_bound()" in refusal(
        input_geometry, wide, (X[:1], Y[:1].clamp(max=1)), reach="margin"
    )


def test_readings_that_do_not_go_together() -> None:
    network = model()
    one = feature_geometry(network, DATA)
    for other, message in (
        (
            feature_geometry(network, (X[:9], Y[:9])),
            "12 examples of 3 classes, and after 9 of 3",
        ),
        (feature_geometry(model(4), DATA), "12 examples of 3 classes, and after 12 of 4."),
        (feature_geometry(network, (X, (Y + 1) % 3)), "Example 0 has the label"),
        (input_geometry(network, (X, Y), reach=None), "but got FeatureGeometry and InputGeom"),
        (None, "Compared are two FeatureGeometry or two InputGeometry, but got"),
    ):
        with pytest.raises(CompanionInputError) as refused:
            compare(one, other)  # type: ignore[arg-type]
        assert message in str(refused.value)


def test_questions_to_a_shift() -> None:
    found = feature_geometry(model(), DATA)
    shift = compare(found, found)
    for ask, message in (
        (lambda: shift.change("size"), "one of 'angle', 'norm', 'margin', but got 'size'"),
        (lambda: shift.quantiles("norm", [0.5, 2]), "numbers from 0 to 1, but got [0.5, 2]."),
        (lambda: shift.quantiles("norm", []), "numbers from 0 to 1, but got []."),
        (lambda: shift.fragile(0), "k must be an int from 1, but got 0."),
        (lambda: shift.fragile(True), "k must be an int from 1, but got True."),
        (lambda: shift.fragile(2, by="angle"), "by must be 'after' or 'change', but got"),
    ):
        with pytest.raises(CompanionInputError) as refused:
            ask()
        assert message in str(refused.value)


def test_an_angle_that_is_undefined_is_not_averaged_away() -> None:
    dark = input_geometry(model(), (torch.zeros(2, 5), torch.zeros(2).long()), reach=None)
    assert bool(torch.isnan(dark.angles).all())
    shift = compare(dark, dark)
    assert not shift.change("margin").any()
    with pytest.raises(CompanionInputError, match="The angle of example 0 is nan, so that"):
        shift.wasserstein("angle")


def test_without_scipy_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = feature_geometry(model(), DATA)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(CompanionPackageError, match=r'pip install "captum-ilin\[scipy\]"'):
        compare(found, found).wasserstein("norm")
