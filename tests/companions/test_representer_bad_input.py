"""What representer points cannot be made of: what is said, and that nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.representer import NotConvergedError, RepresenterPoints
from captum_ilin.errors import IlinError, LayerError
from tests.fingerprint import untouched

X, Y = torch.linspace(-1, 1, 100).reshape(20, 5), torch.arange(20) % 3
DATA = TensorDataset(X, Y)
NO_LABELS = (
    "The loader gives no labels that are whole numbers, one for each example, and they are "
    "needed here."
)


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


class Returning(nn.Module):
    """A model that ends in ``last`` of its head."""

    def __init__(self, last: Any, head: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.head, self.last = nn.Linear(5, 4), head or nn.Linear(4, 3), last

    def forward(self, x: Tensor) -> Any:
        return self.last(self.head(self.body(x).relu()))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


class OnTokens(nn.Module):
    """A head for each of the example's tokens, whose scores are then flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x[:, :, None]).mean(1)


def refusal(network: nn.Module, data: Any = DATA, **options: Any) -> str:
    """The message with which it is refused, the network left as it was."""
    with untouched(network, X, Y), pytest.raises(IlinError) as refused:
        RepresenterPoints(network, data, **options)
    return str(refused.value)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (Functional(), {}, "No linear head: Functional calls no nn.Linear on these inputs."),
        (
            Returning(nn.Softmax(1)),
            {},
            "No linear head: what the model returns is not what the",
        ),
        (
            Returning(nn.Softmax(1)),
            {"head": "head"},
            "If a softmax or another layer follows it",
        ),
        (Returning(lambda z: 2 * z), {}, "No linear head: what the model returns is not what"),
        (model(), {"head": "0"}, "(they differ by shape, (20, 4) and (20, 3))"),
        (model(), {"head": "1"}, "The head must be an nn.Linear, for only then are the"),
        (model(), {"head": "3"}, "There is no layer '3' in the model (Sequential)."),
        (
            model(),
            {"head": nn.Linear(4, 3)},
            "The head is not part of the model. Pass a module",
        ),
        (model(), {"head": 2}, "The layer is given as a int; expected the path of a module"),
        (
            OnTokens(),
            {},
            "The head 'head' takes 1 features, so what goes into it must be (20, 1)",
        ),
        (
            Returning(lambda z: (z, z)),
            {},
            "The model must return logits, (batch, classes), but",
        ),
        (Returning(lambda z: z[:, 0]), {}, "(batch, classes), but returned (20,)"),
        (
            Returning(lambda z: (9 * z).long()),
            {},
            "No linear head: what the model returns is not",
        ),
        (
            Returning(nn.Identity(), nn.Linear(4, 1)),
            {},
            "The head 'head' has one output, whose softmax is 1 whatever it is.",
        ),
    ],
)
def test_no_linear_head(network: nn.Module, options: Any, message: str) -> None:
    assert message in refusal(network, **options)


def test_a_function_is_no_model() -> None:
    with pytest.raises(
        CompanionInputError, match=r"must be an nn\.Module, because its head is"
    ):
        RepresenterPoints(torch.relu, DATA)  # type: ignore[arg-type]


def test_a_head_that_is_never_called_is_refused() -> None:
    network = Returning(nn.Identity())
    network.spare = nn.Linear(4, 3)
    assert "The head 'spare' is not reached: the model never calls it" in refusal(
        network, head="spare"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": 0}, "penalty is λ of λ‖Θ‖² and must be above 0 and finite, but got 0."),
        ({"penalty": -0.5}, "must be above 0 and finite, but got -0.5."),
        ({"penalty": float("nan")}, "must be above 0 and finite, but got nan."),
        ({"penalty": float("inf")}, "must be above 0 and finite, but got inf."),
        ({"penalty": "weak"}, "penalty must be a number above 0, but got 'weak'."),
        ({"penalty": True}, "penalty must be a number above 0, but got True."),
        (
            {"targets": "truth"},
            "targets must be 'model' (its own softmax) or 'labels', but got",
        ),
        ({"tolerance": 0}, "tolerance is the stationarity to reach and must be above 0"),
    ],
)
def test_options(options: Any, message: str) -> None:
    assert message in refusal(model(), **options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TensorDataset(X), NO_LABELS),
        (DataLoader(X), "Give batches as tuples whose last element holds whole numbers"),
        (TensorDataset(X, X[:, 0]), NO_LABELS),
        (TensorDataset(X, Y[:, None]), NO_LABELS),
        (
            TensorDataset(X, Y + 1),
            "Labels must be from 0 to 2, because the head has 3 outputs, but training example "
            "2 has the label 3.",
        ),
        (TensorDataset(X, Y - 1), "but training example 0 has the label -1."),
    ],
)
def test_labels_where_they_are_needed(data: Any, message: str) -> None:
    assert message in refusal(model(), data, targets="labels")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            TensorDataset(X[:0], Y[:0]),
            "The loader gives no batch: there are no training examples",
        ),
        (DataLoader(DATA, batch_size=30, drop_last=True), "The loader gives no batch"),
        (DataLoader([X[:0]], batch_size=None), "The loader gives no batch: there are no"),
        (DataLoader(DATA, shuffle=True), "The loader shuffles, so that the numbers of its"),
        (DataLoader(DATA, sampler=SubsetRandomSampler([1, 2])), "The loader shuffles, so that"),
        (
            DataLoader(DATA, batch_sampler=BatchSampler(RandomSampler(DATA), 5, False)),
            "The loader shuffles, so that",
        ),
        (
            TensorDataset(X.clone().index_fill_(0, torch.tensor(0), torch.nan), Y),
            "The features of training example 0 are NaN or infinite",
        ),
        ([{"x": x} for x in X], "The loader gives a dict; expected a tensor, or a tuple whose"),
        (
            TensorDataset(X.clone().index_fill_(0, torch.tensor(7), torch.nan), Y),
            "The features of training example 7 are NaN or infinite",
        ),
    ],
)
def test_loaders(data: Any, message: str) -> None:
    assert message in refusal(model(), data, batch_size=6)


def test_an_empty_tuple_is_no_batch() -> None:
    loader = DataLoader(DATA, collate_fn=lambda rows: ())
    assert "The loader gives an empty tuple; expected inputs and labels." in refusal(
        model(), loader
    )


def test_models_in_training_mode_whose_features_depend_on_chance_or_batch() -> None:
    dropping = nn.Sequential(nn.Linear(5, 40), nn.Dropout(), nn.Linear(40, 3))
    with pytest.raises(CompanionInputError, match="other features for the same batch"):
        RepresenterPoints(dropping, DATA)
    RepresenterPoints(dropping.eval(), DATA)
    normal = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    assert "The batch norm '1' is in training mode" in refusal(normal)
    RepresenterPoints(normal.eval(), DATA)


def test_what_does_not_converge_is_not_returned() -> None:
    with pytest.raises(NotConvergedError) as stopped:
        RepresenterPoints(model(), DATA, penalty=1e-5, max_evaluations=30)
    said = str(stopped.value)
    assert said.startswith("The refit of the head did not converge: after ")
    assert "passes over the features ‖gradient‖ / (2λ‖Θ‖) is " in said
    reached = float(said.partition("(2λ‖Θ‖) is ")[2].partition(",")[0])
    assert reached > 1e-9
    assert "and 1e-09 was asked for" in said
    assert "Raise max_evaluations or λ (penalty, which is 1e-05;" in said
    assert isinstance(stopped.value, (CompanionInputError, ArithmeticError))


def test_a_tolerance_below_rounding_is_not_claimed() -> None:
    with pytest.raises(NotConvergedError, match="did not converge"):
        RepresenterPoints(model(), DATA, tolerance=1e-30, max_evaluations=300)


def test_a_model_whose_features_are_all_zero_has_votes_of_zero() -> None:
    network = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
    network[0].weight.data.zero_()
    network[0].bias.data.fill_(-1.0)
    points = RepresenterPoints(network, DATA)
    assert torch.equal(points.influence(X[:2], target=0), torch.zeros(2, 20).double())
    assert points.report.stationarity == 0
    assert points.report.identity_residual == 0


@pytest.fixture(scope="module")
def points() -> RepresenterPoints:
    torch.manual_seed(0)
    return RepresenterPoints(model(), DATA)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "inputs are missing: pass a batch of test inputs, without labels"),
        ((X, 0), {}, "k must be an int from 1 to 20, because there are 20 training examples"),
        ((X, 21), {}, "k must be an int from 1 to 20, because there are 20 training examples"),
        ((X, 2.0), {}, "k must be an int from 1 to 20"),
        ((X,), {"target": 3}, "target must be from 0 to 2, because the head has 3 outputs"),
        ((X,), {"target": -1}, "target must be from 0 to 2"),
        ((X,), {"target": [0, 1]}, "target must be an int, or one for each of the 20 inputs"),
        ((X,), {"target": 0.5}, "target must be an int, or one for each of the 20 inputs"),
        ((X,), {"labels": Y}, "There is no option 'labels'. Those of influence are k,"),
    ],
)
def test_influence(
    points: RepresenterPoints, arguments: Any, options: Any, message: str
) -> None:
    with pytest.raises(CompanionInputError) as refused:
        points.influence(*arguments, **options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([20], "examples must be from 0 to 19, because there are 20 training examples"),
        ([-1], "examples must be from 0 to 19"),
        ([], "examples must be numbers of training examples, (k,) or (3, k), but got"),
        (
            [0.5],
            "examples must be numbers of training examples, (k,) or (3, k), but got (3, 1)",
        ),
        ([[0], [1]], "examples must be numbers of training examples, (k,) or (3, k), but got"),
    ],
)
def test_shares(points: RepresenterPoints, examples: Any, message: str) -> None:
    with pytest.raises(CompanionInputError) as refused:
        points.shares(X[:3], examples)
    assert message in str(refused.value)


def test_mislabelled(points: RepresenterPoints) -> None:
    with pytest.raises(CompanionInputError, match="its coefficients say nothing of the labels"):
        points.mislabelled()
    with pytest.raises(
        CompanionInputError, match="by must be one of 'coefficient', 'self_vote'"
    ):
        points.mislabelled(by="loss")
    labelled = RepresenterPoints(model(), DATA, targets="labels")
    with pytest.raises(CompanionInputError, match="k must be an int from 1 to 20"):
        labelled.mislabelled(k=21)


def test_the_errors_are_in_the_package_s_tree() -> None:
    assert issubclass(NotConvergedError, (IlinError, ArithmeticError))
    assert issubclass(CompanionInputError, (IlinError, ValueError))
    assert issubclass(LayerError, IlinError)
