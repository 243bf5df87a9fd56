"""Representer points against their definitions, written out slowly in float64."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.influence import DataInfluence
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from captum_ilin.companions.representer import RepresenterPoints, trainingset
from captum_ilin.companions.representer.refit import _growth
from captum_ilin.companions.representer.voting import identity_residual
from tests.fingerprint import untouched

LAMBDA = 0.01


def small(*, bias: bool = True) -> nn.Sequential:
    """(batch, 5) → 7 features → 3 classes."""
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3, bias=bias)).double().eval()


def convolutional() -> nn.Sequential:
    return (
        nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)),
        )
        .double()
        .eval()
    )


@pytest.fixture
def data() -> TensorDataset:
    return TensorDataset(torch.randn(40, 5).double(), torch.randint(3, (40,)))


def features_by_hand(model: nn.Sequential, x: Tensor, *, bias: bool = True) -> Tensor:
    """All but the last layer, and the constant 1."""
    f = model[:-1](x).detach()
    return torch.cat([f, torch.ones(len(f), 1).double()], 1) if bias else f


def objective(theta: Tensor, f: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """λ‖Θ‖² + (1/n) Σ L, word by word."""
    loss = penalty * (theta**2).sum()
    for features, wanted in zip(f, targets, strict=True):
        loss = loss - (wanted * torch.log_softmax(theta @ features, 0)).sum() / len(f)
    return loss


def head_by_newton(f: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """Θ* by Newton's method with the whole Hessian."""
    shape = targets.shape[1], f.shape[1]
    theta = torch.zeros(shape).double()

    def of(flat: Tensor) -> Tensor:
        return objective(flat.reshape(shape), f, targets, penalty)

    for _ in range(12):
        flat = theta.flatten().requires_grad_()
        (gradient,) = torch.autograd.grad(of(flat), flat)
        hessian = torch.autograd.functional.hessian(of, flat.detach())
        theta = (flat.detach() - torch.linalg.solve(hessian, gradient)).reshape(shape)
    return theta


def coefficients_by_autograd(
    theta: Tensor, f: Tensor, targets: Tensor, penalty: float
) -> Tensor:
    """α_i = −(1/(2λn)) ∂L/∂Φ(x_i), example by example."""
    found = []
    for features, wanted in zip(f, targets, strict=True):
        logits = (theta @ features).detach().requires_grad_()
        loss = F.cross_entropy(logits[None], wanted[None])
        (slope,) = torch.autograd.grad(loss, logits)
        found.append(-slope / (2 * penalty * len(f)))
    return torch.stack(found)


@pytest.mark.parametrize("targets", ["model", "labels"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
def test_head_and_coefficients_are_those_of_the_definition(
    data: TensorDataset, targets: str, bias: bool, penalty: float
) -> None:
    model = small(bias=bias)
    x, labels = data.tensors
    wanted = model(x).softmax(1).detach() if targets == "model" else F.one_hot(labels).double()
    f = features_by_hand(model, x, bias=bias)
    theta = head_by_newton(f, wanted, penalty)
    alpha = coefficients_by_autograd(theta, f, wanted, penalty)
    points = RepresenterPoints(model, data, penalty=penalty, targets=targets)
    # stationary to 1e-9; the objective's curvature is at least 2λ, so Θ is as near
    assert torch.allclose(points.refit.weight, theta, rtol=0, atol=1e-8 * float(theta.norm()))
    # α is of size 1/(2λn), and moves with Θ by ‖f‖ of that
    assert torch.allclose(points.coefficients, alpha, rtol=0, atol=1e-8 / penalty)
    assert points.report.stationarity <= 1e-9
    assert points.report.features == (8 if bias else 7)


def test_votes_are_the_definition_s_and_add_up_to_the_refit_s_own_logits(
    data: TensorDataset,
) -> None:
    model = small()
    points = RepresenterPoints(model, data, penalty=LAMBDA)
    test = torch.randn(4, 5).double()
    f, f_t = features_by_hand(model, data.tensors[0]), features_by_hand(model, test)
    targets = [2, 0, 1, 1]
    votes = points.influence(test, target=targets)
    for t, c in enumerate(targets):
        for i in range(40):
            slow = sum(points.coefficients[i, c] * f[i, j] * f_t[t, j] for j in range(8))
            assert float(votes[t, i]) == pytest.approx(float(slow), rel=1e-12, abs=1e-15)
    logits = F.linear(f_t, points.refit.weight)
    own = logits[range(4), targets]
    # the bound of the issue; stationary to 1e-9, times ‖Θ‖‖f_t‖ over the logits
    assert float((votes.sum(1) - own).abs().max() / logits.abs().max()) < 1e-6
    assert torch.allclose(points.logits(test), logits, rtol=1e-13)
    assert points.identity_residual(test) < 1e-6
    assert points.report.identity_residual < 1e-6


@pytest.mark.parametrize(
    "broken",
    [
        lambda refit: replace(refit, coefficients=2 * refit.coefficients),
        lambda refit: replace(refit, coefficients=-refit.coefficients),
        lambda refit: replace(refit, coefficients=refit.coefficients.roll(1, 0)),
        lambda refit: replace(refit, weight=1.001 * refit.weight),
    ],
    ids=["λ for 2λ", "the other sign", "of other examples", "not stationary"],
)
def test_the_identity_s_residual_catches_what_is_no_representer(
    data: TensorDataset, broken: Any
) -> None:
    points = RepresenterPoints(small(), data, penalty=LAMBDA)
    features = points.training_set.features(torch.arange(40))
    assert identity_residual(points.training_set, points.refit, features) < 1e-7
    assert identity_residual(points.training_set, broken(points.refit), features) > 1e-4


def test_of_a_doubled_training_set_each_example_has_half_the_vote(data: TensorDataset) -> None:
    model, (x, y) = small(), data.tensors
    once = RepresenterPoints(model, data, penalty=LAMBDA)
    twice = RepresenterPoints(
        model, TensorDataset(torch.cat([x, x]), torch.cat([y, y])), penalty=LAMBDA
    )
    assert torch.allclose(twice.refit.weight, once.refit.weight, atol=1e-7)
    assert torch.allclose(twice.coefficients[:40], once.coefficients / 2, atol=1e-7)


def test_fitted_to_labels_an_example_excites_its_class_and_inhibits_others(
    data: TensorDataset,
) -> None:
    points = RepresenterPoints(small(), data, penalty=LAMBDA, targets="labels")
    own = F.one_hot(data.tensors[1], 3).bool()
    assert bool((points.coefficients[own] > 0).all())
    assert bool((points.coefficients[~own] < 0).all())
    assert torch.allclose(points.coefficients.sum(1), torch.zeros(40).double(), atol=1e-12)


@pytest.mark.parametrize("proponents", [True, False])
@pytest.mark.parametrize("k", [1, 7, 40])
def test_the_strongest_are_those_of_a_sort(
    data: TensorDataset, monkeypatch: pytest.MonkeyPatch, proponents: bool, k: int
) -> None:
    monkeypatch.setattr(trainingset, "BLOCK", 7 * 6)  # blocks of six examples
    model, test = small(), torch.randn(3, 5).double()
    points = RepresenterPoints(model, DataLoader(data, batch_size=4), penalty=LAMBDA)
    assert [len(block) for block in points.training_set.blocks] == [6] * 6 + [4]
    found = points.influence(test, k, proponents)
    votes = points.influence(test, target=model(test).argmax(1))
    values, indices = votes.sort(1, descending=proponents)
    assert torch.equal(found.influence_scores, values[:, :k])
    assert torch.equal(found.indices, indices[:, :k])


def test_blocks_and_batches_change_nothing(
    data: TensorDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, test = small(), torch.randn(3, 5).double()
    whole = RepresenterPoints(model, data, batch_size=40, penalty=LAMBDA)
    monkeypatch.setattr(trainingset, "BLOCK", 7 * 9)
    parts = RepresenterPoints(model, DataLoader(data, batch_size=5), penalty=LAMBDA)
    chosen = torch.tensor([0, 8, 9, 39])
    assert torch.equal(parts.training_set.features(chosen), model[:-1](data.tensors[0])[chosen])
    assert torch.allclose(
        parts.influence(test, target=1), whole.influence(test, target=1), atol=1e-8
    )


def test_features_stay_in_the_model_s_precision_and_no_second_copy_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    monkeypatch.setattr(trainingset, "BLOCK", 32 * 100)
    model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 3))
    largest = {torch.float32: 0, torch.float64: 0}

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            found = func(*args, **(kwargs or {}))
            for value in found if isinstance(found, (tuple, list)) else (found,):
                if isinstance(value, Tensor) and value.dtype in largest:
                    storage = value.untyped_storage().nbytes() // value.element_size()
                    largest[value.dtype] = max(largest[value.dtype], storage)
            return found

    data = TensorDataset(torch.randn(2000, 5), torch.randint(3, (2000,)))
    with Watching():
        points = RepresenterPoints(model, data, penalty=0.1, batch_size=50)
        points.influence(torch.randn(2, 5), k=3)
    assert {block.dtype for block in points.training_set.blocks} == {torch.float32}
    blocks = 32 * 150  # a block and a batch
    # a block, α, or the products of a block with the 128 examples the identity is measured at
    assert largest[torch.float64] <= max(32 * 100, 2000 * 3, 128 * 100)
    assert largest[torch.float32] <= max(2000 * 5, blocks)  # the data; never n × 32
    assert 4 * max(largest.values()) < 2000 * 32


def test_the_report_says_how_like_the_network_the_refit_is(data: TensorDataset) -> None:
    model = small()
    points = RepresenterPoints(model, data, penalty=LAMBDA)
    x = data.tensors[0]
    f = features_by_hand(model, x)
    ours, theirs = f @ points.refit.weight.T, model(x).detach()
    rows = torch.stack([(z - z.mean(1, keepdim=True)).flatten() for z in (ours, theirs)])
    assert points.report.correlation == pytest.approx(float(torch.corrcoef(rows)[0, 1]))
    same = sum(int(a.argmax() == b.argmax()) for a, b in zip(ours, theirs, strict=True))
    assert points.report.agreement == same / 40
    assert str(points.report).startswith("refit to the model of 40 examples, 8 features")
    assert "same class first on" in str(points.report)


def test_as_the_penalty_goes_the_refit_becomes_the_network(data: TensorDataset) -> None:
    model = small()
    likeness = [
        RepresenterPoints(model, data, penalty=penalty).report.correlation
        for penalty in (1.0, 1e-2, 1e-5)
    ]
    assert likeness[0] < likeness[1] < likeness[2]
    assert likeness[2] > 0.999


@pytest.mark.parametrize("build", [small, convolutional], ids=["dense", "convolutional"])
def test_shares_are_those_of_the_jacobian_below_the_head(build: Any) -> None:
    model = build()
    shape = (5,) if build is small else (2, 6, 6)
    data = TensorDataset(torch.randn(30, *shape).double(), torch.randint(3, (30,)))
    points = RepresenterPoints(model, data, penalty=LAMBDA)
    test, examples = torch.randn(3, *shape).double(), torch.tensor([[3, 9], [0, 29], [3, 3]])
    shares = points.shares(test, examples, target=[0, 2, 1])
    f = features_by_hand(model, data.tensors[0])
    for t, place in itertools.product(range(3), range(2)):
        x, i, c = test[t : t + 1], int(examples[t, place]), [0, 2, 1][t]
        jacobian = torch.autograd.functional.jacobian(model[:-1], x)[0, :, 0]
        weight = torch.einsum("f,f...->...", f[i, :-1], jacobian) * points.coefficients[i, c]
        assert torch.allclose(shares.features[t, place], weight * x[0], atol=1e-14)
        rest = model[:-1](x)[0] - torch.einsum("f...,...->f", jacobian, x[0])
        bias = points.coefficients[i, c] * (f[i, :-1] @ rest + 1)
        assert float(shares.bias[t, place]) == pytest.approx(float(bias.detach()), rel=1e-10)
    votes = points.influence(test, target=[0, 2, 1]).gather(1, examples)
    assert torch.allclose(shares.votes, votes, rtol=1e-13)
    assert shares.completeness_error < 1e-12  # the bound is 1e-8
    assert torch.allclose(shares.totals, votes, rtol=1e-10)


@pytest.mark.parametrize("part", ["features", "bias", "votes"])
def test_the_completeness_error_catches_a_share_that_is_off(
    data: TensorDataset, part: str
) -> None:
    points = RepresenterPoints(small(), data, penalty=LAMBDA)
    shares = points.shares(torch.randn(2, 5).double(), [1, 2])
    wrong = getattr(shares, part).clone().contiguous()
    wrong.view(-1)[0] += 1e-5 * shares.votes.abs().max()
    assert replace(shares, **{part: wrong}).completeness_error > 1e-8


def test_shares_of_a_network_that_is_not_piecewise_linear_add_up() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True)

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = encoder, nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.encoder(x).mean(1))

    model = Tokens().double().eval()
    points = RepresenterPoints(model, TensorDataset(torch.randn(30, 5, 8).double()))
    test = torch.randn(2, 5, 8).double()
    with untouched(model, test):
        shares = points.shares(test, points.influence(test, k=3).indices)
    assert shares.features.shape == (2, 3, 5, 8)
    assert shares.completeness_error < 1e-12


def test_of_several_inputs_each_has_its_share() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(3, 6), nn.Linear(2, 6)
            self.head = nn.Linear(6, 3)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.head((self.one(a) + self.other(b)).relu())

    model = Two().double()
    data = TensorDataset(
        torch.randn(20, 3).double(), torch.randn(20, 2).double(), torch.randint(3, (20,))
    )
    points = RepresenterPoints(model, data)
    test = (torch.randn(4, 3).double(), torch.randn(4, 2).double())
    shares = points.shares(test, [0, 5])
    assert [part.shape for part in shares.features] == [(4, 2, 3), (4, 2, 2)]
    assert shares.completeness_error < 1e-12
    assert torch.equal(points.labels, data.tensors[2])


def test_flipped_labels_are_found_by_every_reading() -> None:
    y = torch.arange(120) % 3
    x = 4 * F.one_hot(y, 3).double() + torch.randn(120, 3).double()
    wrong = torch.tensor([4, 50, 99])
    y = y.clone()
    y[wrong] = (y[wrong] + 1) % 3
    model = nn.Sequential(nn.Linear(3, 3)).double()
    points = RepresenterPoints(model, TensorDataset(x, y), targets="labels", penalty=0.1)
    for by in ("coefficient", "self_vote", "others"):
        found = points.mislabelled(k=3, by=by)
        assert set(found.indices.tolist()) == set(wrong.tolist())
    ranked = points.mislabelled(by="others")
    assert sorted(ranked.indices.tolist()) == list(range(120))
    assert bool((ranked.scores.diff() <= 0).all())


def test_readings_of_suspicion_are_those_of_their_definitions(data: TensorDataset) -> None:
    model, (x, y) = small(), data.tensors
    points = RepresenterPoints(model, data, penalty=LAMBDA, targets="labels")
    f = features_by_hand(model, x)
    found = {by: points.mislabelled(by=by) for by in ("coefficient", "self_vote", "others")}
    for i in range(40):
        c, alpha = int(y[i]), points.coefficients
        # what the others say: their votes added up, without i's own
        said = sum(alpha[j] * (f[j] @ f[i]) for j in range(40) if j != i)
        margin = max(float(said[d] - said[c]) for d in range(3) if d != c)
        slow = {
            "coefficient": float(alpha[i, c]),
            "self_vote": float(alpha[i, c] * (f[i] @ f[i])),
            "others": margin,
        }
        for by, value in slow.items():
            place = int((found[by].indices == i).nonzero())
            # the sum over others is that of a refit stationary to 1e-9
            assert float(found[by].scores[place]) == pytest.approx(value, rel=1e-6, abs=1e-7)
    own = points.self_influence()
    assert torch.allclose(own, points.coefficients * f.square().sum(1, keepdim=True))


class Stream(IterableDataset[Any]):
    """A dataset that has no length."""

    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __iter__(self) -> Any:
        return iter([self.data[i] for i in range(40)])


def test_dataset_loader_and_stream_give_the_same(data: TensorDataset) -> None:
    model = small()
    kinds = (
        data,
        DataLoader(data, batch_size=13),
        DataLoader(Stream(data), batch_size=13),
        TensorDataset(data.tensors[0]),
        DataLoader(data.tensors[0], batch_size=13),  # type: ignore[arg-type]
    )
    found = [RepresenterPoints(model, each, penalty=LAMBDA).coefficients for each in kinds]
    for other in found[1:]:
        assert torch.allclose(found[0], other, atol=1e-8)


def test_a_named_head_is_the_one_found(data: TensorDataset) -> None:
    model = small()
    found = RepresenterPoints(model, data, penalty=LAMBDA)
    assert found.head.path == "2"
    for head in ("2", model[2]):
        named = RepresenterPoints(model, data, penalty=LAMBDA, head=head)
        assert named.head.module is model[2]
        assert torch.equal(named.coefficients, found.coefficients)
    assert isinstance(found, DataInfluence)
    assert found.get_name() == "RepresenterPoints"


def test_a_head_that_is_not_the_last_module_is_found_by_what_it_returns() -> None:
    class Aside(nn.Module):
        """Registers its head first, and a layer that it never calls last."""

        def __init__(self) -> None:
            super().__init__()
            self.classify, self.body = nn.Linear(4, 3), nn.Linear(5, 4)
            self.unused = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.classify(self.body(x).tanh())

    model = Aside()
    points = RepresenterPoints(model, TensorDataset(torch.randn(20, 5)))
    assert points.head.path == "classify"


def test_the_model_is_left_as_it_was(data: TensorDataset) -> None:
    model = small().train()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[2].weight.requires_grad_(False)
    test = torch.randn(2, 5).double()
    with untouched(model, test, *data.tensors):
        points = RepresenterPoints(model, data, penalty=LAMBDA, targets="labels")
        points.influence(test, k=2)
        points.shares(test, [0, 1])
        points.mislabelled(k=2)
        points.identity_residual(test)


def test_bars_are_shown_when_asked_for(
    data: TensorDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    model, test = small(), torch.randn(2, 5).double()
    RepresenterPoints(model, data).influence(test, k=2)
    assert capsys.readouterr().err == ""
    RepresenterPoints(model, data, show_progress=True).influence(test, 2, show_progress=True)
    said = capsys.readouterr().err
    assert "features: 100%" in said
    assert "refit: " in said
    assert "stationarity=" in said
    assert "votes: 100%" in said


def test_half_precision_features_are_kept_in_float32() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).to(torch.bfloat16)
    points = RepresenterPoints(model, TensorDataset(torch.randn(20, 5).to(torch.bfloat16)))
    assert points.training_set.blocks[0].dtype == torch.float32
    assert points.report.identity_residual < 1e-6


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.1, 1.0, 30.0, 2000.0])
def test_the_objective_s_growth_keeps_its_digits_whatever_the_step(size: float) -> None:
    """Against log Σ p exp δ − Σ p δ, and where that has no digits left its second order."""
    p, delta = torch.randn(50, 4).double().softmax(1), size * torch.randn(50, 4).double()
    growth, change = _growth(p, delta)
    plain = torch.logsumexp(p.log() + delta, 1) - (p * delta).sum(1)
    mean = (p * delta).sum(1, keepdim=True)
    second_order = (p * (delta - mean) ** 2).sum() / 2
    slow = plain.sum() if size > 1e-3 else second_order
    # what follows the second order is of third order: δ of the whole
    assert float(growth) == pytest.approx(float(slow), rel=max(1e-11, 5 * size * (size < 1e-3)))
    if size < 1e-8:
        assert abs(float(plain.sum() / second_order) - 1) > 0.01  # the plain sum has drowned
    grown = (p.log() + delta).softmax(1) - p
    assert torch.allclose(change, grown, rtol=1e-9, atol=1e-15)
