"""Dummy: unused features found, idle ones not mistaken for them, shares counted."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import ILIN
from captum_ilin.metrics import MetricInputError, dummy
from tests.networks import relu_mlp


def sparse(x: Tensor) -> Tensor:
    """Uses features 0, 2 and 3 of five; 3 only where 0 is large."""
    return x[:, 0] * 2 + x[:, 2].sin() + F.relu(x[:, 3] * F.relu(x[:, 0] - 1.5))


X = torch.tensor([[1.0, 2.0, 0.5, 1.0, -1.0], [0.0, 1.0, -1.0, 2.0, 0.0]])


def test_the_share_is_that_of_the_features_nobody_reads() -> None:
    phi = torch.tensor([[1.0, -2.0, 3.0, 4.0, 0.5], [1.0, 1.0, 1.0, 1.0, 4.0]])
    found = dummy(sparse, X, phi, draws=16)
    assert torch.allclose(found.values, torch.tensor([2.5 / 10.5, 5 / 8]).double())


def test_a_feature_that_is_idle_here_is_no_dummy() -> None:
    only_there = torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.0]]).expand(2, -1)
    assert dummy(sparse, X, only_there, draws=16).values.tolist() == [0.0, 0.0]


def test_known_dummies_are_not_looked_for() -> None:
    mask = torch.tensor([[False, True, False, False, True]])
    found = dummy(None, X, torch.ones(2, 5), dummies=mask)  # type: ignore[arg-type]
    assert torch.allclose(found.values, torch.tensor(0.4).double())


def test_masked_values_are_one_feature() -> None:
    mask = torch.tensor([[0, 1, 0, 0, 1]])
    found = dummy(sparse, X, torch.ones(2, 5), feature_mask=mask)
    assert torch.allclose(found.values, torch.tensor(0.4).double())


def test_the_affine_map_gives_nothing_to_a_column_of_zeros() -> None:
    network, x = relu_mlp(6, 8, 3), torch.randn(4, 6).double()
    with torch.no_grad():
        network[0].weight[:, 2] = 0
    assert dummy(network, x, ILIN(network).attribute(x, target=1), target=1).mean() == 0
    assert dummy(network, x, torch.ones(4, 6), target=1).mean() == pytest.approx(1 / 6)


def test_neither_the_rest_of_the_batch_nor_its_size_matters() -> None:
    network, x, phi = relu_mlp(6, 8, 3), torch.randn(4, 6).double(), torch.randn(4, 6)
    with torch.no_grad():
        network[0].weight[:, 2] = 0
    whole = dummy(network, x, phi, target=1)
    assert torch.equal(whole.values, dummy(network, x, phi, target=1, batch_size=5).values)
    alone = dummy(network, x[1:2], phi[1:2], target=1)
    assert torch.equal(whole.values[1:2], alone.values)


def test_a_feature_that_matters_at_the_input_alone_is_no_dummy() -> None:
    def switched(x: Tensor) -> Tensor:
        return torch.where((x[:, 1:4] == X[0, 1:4]).all(1), x[:, 0], 0.0)

    for seed in range(5):
        found = dummy(switched, X[:1], torch.eye(5)[:1], draws=1, seed=seed)
        assert found.values.tolist() == [0.0]


def test_features_of_another_example_are_no_dummies() -> None:
    phi = torch.ones(2, 5)
    mask = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 2, 3, 4]])
    found = dummy(sparse, X, phi, feature_mask=mask, draws=16)
    assert found.reasons[0] == "every feature is used"
    assert float(found.values[1]) == pytest.approx(0.4)
    alone = dummy(sparse, X[1:], phi[1:], feature_mask=mask[1:], draws=16)
    assert torch.equal(alone.values, found.values[1:])


def test_undefined_shares_have_a_reason() -> None:
    x = torch.ones(1, 2)
    assert dummy(lambda x: x.sum(1), x, x).reasons == ("every feature is used",)
    for phi in (0 * x, torch.tensor([[torch.inf, 1.0]])):
        assert dummy(lambda x: x[:, 0], x, phi).reasons == (
            "every attribution is 0, or one is not finite",
        )


def test_bad_input_is_told() -> None:
    x = torch.ones(1, 2)
    with pytest.raises(MetricInputError, match=r"dummies has shape \(1, 2\) and dtype torch.f"):
        dummy(lambda x: x.sum(1), x, x, dummies=x)
    with pytest.raises(MetricInputError, match="draws is 0; expected 1 or more"):
        dummy(lambda x: x.sum(1), x, x, draws=0)
