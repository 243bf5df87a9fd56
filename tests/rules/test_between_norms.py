"""Softmax, normalisation, norms, deviations and attention between two points."""

from __future__ import annotations

from functools import partial
from math import inf, log
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import REFERENCE_RULES, linearize
from captum_ilin.counterpart import Counterpart, paired
from captum_ilin.errors import TrainingModeWarning
from captum_ilin.rules.between import matrixed
from captum_ilin.rules.references.distances import length, root
from captum_ilin.rules.references.standardized import standardized
from captum_ilin.slope import Slope
from captum_ilin.tangent import tangent

CLOSES = 1e-12  # some hundred roundings of float64
ROWS = 2


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def of_rows(op: Any) -> Any:
    """An op of one example."""
    return lambda x: torch.stack([op(row) for row in x])


def pairs(op: Any) -> Any:
    return lambda x: op(x[:, 0], x[:, 1])


def later() -> Tensor:
    return torch.ones(4, 4, dtype=torch.bool).triu(1)


def masked(x: Tensor) -> Tensor:
    return (x @ x.mT).masked_fill(later(), -torch.inf)


def attention(**options: Any) -> Any:
    return lambda x: F.scaled_dot_product_attention(x, x.flip(-1), 2 * x.flip(-2), **options)


def grouped(x: Tensor) -> Tensor:
    few = x[:, :1]
    return F.scaled_dot_product_attention(x, few, few.flip(-1), scale=0.3, enable_gqa=True)


def with_active_weight(x: Tensor) -> Tensor:
    return torch.cat([F.layer_norm(row, (6,), row[0], row[1])[None] for row in x])


def with_active_statistics(x: Tensor) -> Tensor:
    def one(row: Tensor) -> Tensor:
        mean, weight = row.mean(1), row[:, 1]
        return F.batch_norm(row[None], mean, row[:, 0].square(), weight, mean)[0]

    return torch.stack([one(row) for row in x])


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(6, 2, 8, activation="gelu", batch_first=True)
    return layer.double().eval()


def heads(*, weights: bool) -> Any:
    module = nn.MultiheadAttention(6, 2, batch_first=True, add_bias_kv=True).double()
    padded = torch.zeros(ROWS, 4, dtype=torch.bool)
    padded[:, 3] = True

    def attend(x: Tensor) -> Tensor:
        return module(x, x.flip(1), x, key_padding_mask=padded, attn_mask=later())[weights]

    return attend


# name: what makes the function, and the shape of one example
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "torch.softmax": (lambda: lambda x: torch.softmax(3 * x, -1), (4, 5)),
    "Tensor.softmax": (lambda: lambda x: x.softmax(dim=1), (4, 5)),
    "F.softmax": (lambda: lambda x: F.softmax(x, dim=2, dtype=torch.float64), (4, 5)),
    "special.softmax": (lambda: lambda x: torch.special.softmax(x, -1), (4, 5)),
    "softmin": (lambda: lambda x: F.softmin(x, dim=1), (4, 5)),
    "softmax of masked": (lambda: lambda x: masked(x).softmax(-1), (4, 5)),
    "torch.log_softmax": (lambda: lambda x: torch.log_softmax(3 * x, -1), (4, 5)),
    "Tensor.log_softmax": (lambda: lambda x: x.log_softmax(1, dtype=torch.float64), (4, 5)),
    "F.log_softmax": (lambda: lambda x: F.log_softmax(x, dim=-1), (4, 5)),
    "log_softmax of masked": (lambda: lambda x: masked(x).log_softmax(-1)[..., 0], (4, 5)),
    "logsumexp": (lambda: lambda x: torch.logsumexp(x, 1), (4, 5)),
    "logsumexp of two": (lambda: lambda x: x.logsumexp((1, -1), keepdim=True), (4, 5)),
    "logsumexp of masked": (lambda: lambda x: masked(x).logsumexp(-1), (4, 5)),
    "logaddexp": (lambda: pairs(torch.logaddexp), (4, 5)),
    "logaddexp2": (lambda: pairs(Tensor.logaddexp2), (4, 5)),
    "logcumsumexp": (lambda: lambda x: torch.logcumsumexp(x, 1), (4, 5)),
    "layer_norm": (lambda: partial(F.layer_norm, normalized_shape=(4, 6)), (4, 6)),
    "layer_norm scaled": (lambda: nn.LayerNorm(6).double().requires_grad_(False), (4, 6)),
    "layer_norm of its own weight": (lambda: with_active_weight, (4, 6)),
    "torch.layer_norm": (lambda: lambda x: torch.layer_norm(x, (6,)), (4, 6)),
    "rms_norm": (lambda: partial(F.rms_norm, normalized_shape=(6,), weight=double(6)), (4, 6)),
    "group_norm": (
        lambda: partial(F.group_norm, num_groups=2, weight=double(4), bias=double(4)),
        (4, 3, 3),
    ),
    "torch.group_norm": (lambda: lambda x: torch.group_norm(x, 2), (4, 3)),
    "instance_norm": (
        lambda: partial(F.instance_norm, weight=double(4), bias=double(4)),
        (4, 3, 3),
    ),
    "batch_norm": (lambda: nn.BatchNorm2d(4).double().eval(), (4, 3, 3)),
    "batch_norm of its own statistics": (lambda: with_active_statistics, (4, 6)),
    "normalize": (lambda: lambda x: F.normalize(x, dim=-1), (4, 5)),
    "cosine_similarity": (lambda: pairs(F.cosine_similarity), (4, 5)),
    "local_response_norm": (
        lambda: partial(F.local_response_norm, size=3, alpha=0.5),
        (4, 3, 3),
    ),
    "renorm": (lambda: of_rows(lambda x: torch.renorm(x, 2, 0, 2.0)), (4, 5)),
    "renorm_": (lambda: of_rows(lambda x: (1 * x).renorm_(2, 1, 2.0)), (4, 5)),
    "var": (lambda: lambda x: x.var(1), (4, 5)),
    "std": (lambda: lambda x: torch.std(x, (1, 2), correction=0), (4, 5)),
    "std_mean": (lambda: lambda x: torch.cat(torch.std_mean(x, 1), 1), (4, 5)),
    "std_mean of all": (lambda: of_rows(lambda x: torch.stack(torch.std_mean(x))), (4, 5)),
    "var_mean": (lambda: lambda x: torch.cat(torch.var_mean(x, 1, keepdim=True), 1), (4, 5)),
    "norm": (lambda: lambda x: x.norm(dim=1), (4, 5)),
    "torch.norm": (lambda: of_rows(torch.norm), (4, 5)),
    "linalg.norm": (lambda: lambda x: torch.linalg.norm(x, dim=(1, 2)), (4, 5)),
    "norm of order 1": (lambda: lambda x: torch.linalg.vector_norm(x, 1, 2), (4, 5)),
    "norm of order 3": (lambda: lambda x: torch.linalg.vector_norm(x, 3, 2), (4, 5)),
    "distance of order 3": (lambda: lambda x: torch.cdist(x, x.flip(2), p=3.0), (4, 5)),
    "norm of order ∞": (lambda: lambda x: torch.linalg.vector_norm(x, inf, 2), (4, 5)),
    "norm of order −∞": (lambda: lambda x: torch.linalg.norm(x, -inf, 1), (4, 5)),
    "norm of columns": (lambda: lambda x: torch.linalg.matrix_norm(x, 1), (4, 5)),
    "norm of rows": (lambda: lambda x: torch.linalg.norm(x, -inf, (1, 2), True), (4, 5)),
    "norm of a matrix": (lambda: lambda x: torch.linalg.matrix_norm(x, keepdim=True), (4, 5)),
    "norm_except_dim": (lambda: of_rows(lambda x: torch.norm_except_dim(x, 2, 1)), (4, 5)),
    "dist": (lambda: of_rows(lambda x: torch.dist(x[0], x[1])), (4, 5)),
    "cdist": (lambda: lambda x: torch.cdist(x, x.flip(2)), (4, 5)),
    "pdist": (lambda: of_rows(F.pdist), (4, 5)),
    "pairwise_distance": (lambda: pairs(F.pairwise_distance), (4, 5)),
    "hypot": (lambda: pairs(torch.hypot), (4, 5)),
    "hypot_": (lambda: lambda x: (1 * x[:, 0]).hypot_(x[:, 1]), (4, 5)),
    "cov": (lambda: of_rows(torch.cov), (4, 5)),
    "corrcoef": (lambda: of_rows(torch.corrcoef), (4, 5)),
    "mul": (lambda: lambda x: x * x[:, :1] * x.sum((1, 2), keepdim=True), (4, 5)),
    "mul_": (lambda: lambda x: (1 * x).mul_(x.flip(1)), (4, 5)),
    "mul_ into a constant": (lambda: lambda x: torch.full_like(x, 2).mul_(x) * x, (4, 5)),
    "a constant first": (
        lambda: lambda x: later().to(x) @ (torch.arange(5).to(x) * x.tanh()),
        (4, 5),
    ),
    "matmul": (lambda: lambda x: x @ x.mT @ x[:, :, :1], (4, 5)),
    "matmul broadcast": (lambda: lambda x: x.unsqueeze(1) @ x.mT[:, None, :, :2], (4, 5)),
    "matmul of vectors": (lambda: of_rows(lambda x: x[0] @ x[1] * (x[:, 0] @ x)), (4, 5)),
    "matrix times vector": (lambda: of_rows(lambda x: torch.matmul(x, x[0])), (4, 5)),
    "bmm": (lambda: lambda x: torch.bmm(x, x.mT), (4, 5)),
    "attention": (attention, (2, 4, 6)),
    "causal attention": (lambda: attention(is_causal=True), (2, 4, 6)),
    "masked attention": (lambda: attention(attn_mask=~later()), (2, 4, 6)),
    "attention that sees nothing": (
        lambda: attention(attn_mask=torch.arange(4).ge(2)[:, None].expand(4, 4)),
        (2, 4, 6),
    ),
    "biased attention": (lambda: attention(attn_mask=double(4, 4)), (2, 4, 6)),
    "grouped attention": (lambda: grouped, (2, 4, 6)),
    "multi-head attention": (lambda: heads(weights=False), (4, 6)),
    "its weights": (lambda: heads(weights=True), (4, 6)),
    "encoder layer": (encoder, (4, 6)),
}

OF_FLOAT64 = ("biased attention", "multi-head attention", "its weights")  # their constants


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Any:
    make, shape = CASES[request.param]
    return make(), shape


def explained(affine_map: Any, step: Tensor) -> Tensor:
    """<W, Δx> of every output."""
    W = affine_map.weight().reshape(len(step), -1, step[0].numel())
    return torch.einsum("bki,bi->bk", W, step.flatten(1))


def error_of_the_sum(function: Any, x: Tensor, baseline: Tensor, **options: Any) -> float:
    affine_map = linearize(function, x, baselines=baseline, **options)
    change = (function(x) - function(baseline)).detach().reshape(len(x), -1)
    error = (explained(affine_map, x - baseline) - change).abs().max()
    return float(error / change.abs().max())


def test_the_difference_is_what_the_features_owe(case: Any) -> None:
    function, shape = case
    assert error_of_the_sum(function, double(ROWS, *shape), double(ROWS, *shape)) <= CLOSES


def test_the_map_passes_through_both_points(case: Any) -> None:
    """With b from the ledger, and nothing without a rule."""
    function, shape = case
    x, baseline = double(ROWS, *shape), double(ROWS, *shape)
    affine_map = linearize(function, x, baselines=baseline)
    for point in (x, baseline):
        torch.testing.assert_close(affine_map(point), function(point), rtol=1e-12, atol=1e-12)
    assert not affine_map.freezing.reports.unregistered


def test_equal_points_give_the_jacobian(case: Any) -> None:
    function, shape = case
    x = double(ROWS, *shape)
    W = linearize(function, x, baselines=x).weight().reshape(ROWS, -1, x[0].numel())
    if function is with_active_statistics:
        pytest.skip("PyTorch's own batch norm has no derivative for them")
    J = torch.autograd.functional.jacobian(function, x)
    J = J.reshape(ROWS, -1, ROWS, x[0].numel())[torch.arange(ROWS), :, torch.arange(ROWS)]
    torch.testing.assert_close(W, J, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in CASES if name not in OF_FLOAT64])
def test_single_precision(name: str) -> None:
    make, shape = CASES[name]
    function = make()
    if isinstance(function, nn.Module):
        function = function.float()
    elif isinstance(function, partial):
        function = partial(function.func, **_single(function.keywords))
    x, baseline = double(ROWS, *shape).float(), double(ROWS, *shape).float()
    assert error_of_the_sum(function, x, baseline) <= 1e-5


def _single(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.float() if isinstance(v, Tensor) else v for k, v in values.items()}


# Dense slopes by hand.


def softmax_by_hand(z: Tensor, other: Tensor) -> Tensor:
    """ΣL (diag(L/ΣL) − L Lᵀ/(ΣL)²) with quotients, row by row."""
    p = [float(v) for v in z.exp() / z.exp().sum()]
    q = [float(v) for v in other.exp() / other.exp().sum()]
    L = [(a - b) / (log(a) - log(b)) for a, b in zip(p, q, strict=True)]
    total, D = sum(L), double(len(p), len(p))
    for i, a in enumerate(L):
        for j, b in enumerate(L):
            D[i, j] = (a if i == j else 0.0) - a * b / total
    return D


def logsumexp_by_hand(z: Tensor, other: Tensor) -> Tensor:
    D = softmax_by_hand(z, other)  # its rows sum to 0, so that L is what the diagonal misses
    p, q = z.softmax(0), other.softmax(0)
    L = (p - q) / (p.log() - q.log())
    assert torch.allclose(torch.diag(L) - torch.outer(L, L) / L.sum(), D)
    return (L / L.sum())[None]


def layer_norm_by_hand(z: Tensor, other: Tensor, *, centred: bool = True) -> Tensor:
    """P [½(r + r') I − (r r')² / (2 n (r + r')) · (c + c')(c + c')ᵀ] P."""
    count = len(z)
    identity = torch.eye(count, dtype=z.dtype)
    P = identity - 1 / count if centred else identity
    c, c_there = P @ z, P @ other
    r, r_there = (((v * v).sum() / count + 1e-5) ** -0.5 for v in (c, c_there))
    factor = (r * r_there) ** 2 / (2 * count * (r + r_there))
    both = c + c_there
    return P @ ((r + r_there) / 2 * identity - factor * torch.outer(both, both)) @ P


def norm_by_hand(z: Tensor, other: Tensor) -> Tensor:
    return ((z + other) / (z.square().sum().sqrt() + other.square().sum().sqrt()))[None]


def std_by_hand(z: Tensor, other: Tensor) -> Tensor:
    c, c_there = z - z.mean(), other - other.mean()
    count = len(z) - 1
    deviations = [(v.square().sum() / count).sqrt() for v in (c, c_there)]
    return ((c + c_there) / count / sum(deviations))[None]


BY_HAND: dict[str, tuple[Any, Any]] = {
    "softmax": (lambda z: z.softmax(1), softmax_by_hand),
    "log_softmax": (
        lambda z: z.log_softmax(1),
        lambda z, other: torch.eye(len(z)).double() - logsumexp_by_hand(z, other),
    ),
    "logsumexp": (lambda z: z.logsumexp(1, keepdim=True), logsumexp_by_hand),
    "layer_norm": (lambda z: F.layer_norm(z, (7,)), layer_norm_by_hand),
    "group_norm": (lambda z: F.group_norm(z, 1), layer_norm_by_hand),
    "rms_norm": (
        lambda z: F.rms_norm(z, (7,), eps=1e-5),
        partial(layer_norm_by_hand, centred=False),
    ),
    "norm": (lambda z: z.norm(dim=1, keepdim=True), norm_by_hand),
    "std": (lambda z: z.std(1, keepdim=True), std_by_hand),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_slopes_by_hand(name: str) -> None:
    function, by_hand = BY_HAND[name]
    z, other = double(2, 7), double(2, 7)
    W = linearize(function, z, baselines=other).weight()
    for row in range(2):
        expected = by_hand(z[row], other[row])
        torch.testing.assert_close(W[row].reshape(expected.shape), expected)


def test_batch_statistics_close_over_the_batch() -> None:
    """Rows are not apart there: summed over the batch, every output closes."""
    module, x, baseline = nn.BatchNorm1d(3).double(), double(5, 3, 4), double(5, 3, 4)
    factors = double(60)

    def whole(flat: Tensor) -> Tensor:
        return (module(flat.reshape(5, 3, 4)).flatten() * factors).sum()[None]

    before = module.running_mean.clone()
    flat, other = x.reshape(1, -1), baseline.reshape(1, -1)
    with pytest.warns(TrainingModeWarning, match="batch_norm ran in training mode"):
        affine_map = linearize(whole, flat, baselines=other)
    torch.testing.assert_close(module.running_mean, before, rtol=0, atol=0)
    change = float((whole(flat) - whole(other)).detach())
    assert abs(float(explained(affine_map, flat - other)) - change) <= CLOSES * abs(change)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_softmax_of_no_dim() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.stack([F.softmax(row, dim=None) for row in x])

    assert error_of_the_sum(function, double(2, 4), double(2, 4)) <= CLOSES


@pytest.mark.filterwarnings("ignore:.*frobenius_norm is deprecated")
def test_frobenius_norm() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.frobenius_norm(x, (1,))

    assert error_of_the_sum(function, double(2, 4, 5), double(2, 4, 5)) <= CLOSES


# Derivatives of every order and mode, and batched.


def slope_of(op: Any, other: Tensor, *args: Any) -> Any:
    """The rule of ``op`` between z and ``other``, as a function of z held at these points."""
    rule = REFERENCE_RULES[op]

    def run(z: Tensor) -> Tensor:
        with paired(Counterpart((other, *args), {})):
            return rule.function(z, *args)

    return run


HELD: dict[str, Any] = {
    "softmax": lambda other: slope_of(torch.softmax, other, -1),
    "log_softmax": lambda other: slope_of(torch.log_softmax, other, 1),
    "logsumexp": lambda other: slope_of(torch.logsumexp, other, 1),
    "norm": lambda other: slope_of(length, other, (1,), False),
    "root": lambda other: slope_of(root, other, 2),
    "layer norm": lambda other: slope_of(
        standardized, other, partial(F.layer_norm, normalized_shape=(5,)), [1], 1e-5
    ),
    "over rows": lambda other: slope_of(
        standardized, other, lambda z: F.batch_norm(z, None, None, training=True), [0], 1e-5
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_products_with_the_slope(name: str) -> None:
    """Dᵀu, D t, their derivatives, and batches of them: one matrix."""
    other, z = double(3, 5).square(), double(3, 5).square().requires_grad_()
    y = HELD[name](other)(z)
    u = torch.ones_like(y).requires_grad_()
    (pulled,) = torch.autograd.grad(y, z, u, create_graph=True)
    rows = [_rows(y, z, batched=batched) for batched in (False, True)]
    torch.testing.assert_close(*rows)
    D = rows[0].reshape(y.numel(), -1)
    torch.testing.assert_close(pulled.flatten(), D.T @ u.flatten())
    step = double(3, 5)
    (moved,) = torch.autograd.grad(pulled, u, step)
    torch.testing.assert_close(moved.flatten(), D @ step.flatten())


def _rows(y: Tensor, z: Tensor, *, batched: bool) -> Tensor:
    units = torch.eye(y.numel(), dtype=y.dtype).reshape(-1, *y.shape)
    if batched:
        return torch.autograd.grad(y, z, units, retain_graph=True, is_grads_batched=True)[0]
    return torch.stack([torch.autograd.grad(y, z, u, retain_graph=True)[0] for u in units])


# Numbers at the edges.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("separation", [0.0, 1e-12, 1e-6, 1.0, 1e3, 1e6])
def test_softmax_at_any_separation(separation: float, dtype: torch.dtype) -> None:
    """Also where probabilities underflow at one point or at both."""
    there = torch.randn(4, 6, dtype=dtype)
    here = there + separation * torch.randn(4, 6, dtype=dtype)
    for function in (torch.softmax, torch.log_softmax):
        affine_map = linearize(lambda z, f=function: f(z, 1), here, baselines=there)
        change = function(here, 1) - function(there, 1)
        error = (explained(affine_map, here - there) - change).abs()
        scale = 1 + here.abs().amax(1, keepdim=True) + there.abs().amax(1, keepdim=True)
        assert (error <= 30 * torch.finfo(dtype).eps * scale).all()


def test_zeros_at_both_points_owe_nothing() -> None:
    x = torch.zeros(1, 3).double()
    for function in (lambda z: z.norm(dim=1), lambda z: z.std(1), lambda z: F.normalize(z)):
        W = linearize(function, x, baselines=x).weight()
        assert torch.isfinite(W).all()
    assert not linearize(lambda z: z.norm(dim=1), x, baselines=x).weight().any()


# The laws can fail.


def test_a_tangent_does_not_close() -> None:
    tangents = {torch.softmax: partial(tangent, torch.softmax)}
    for function in (lambda z: torch.softmax(z, 1), lambda z: F.layer_norm(z, (6,))):
        rules = REFERENCE_RULES | tangents
        rules = rules | {F.layer_norm: partial(tangent, F.layer_norm)}
        x, baseline = double(2, 6), double(2, 6)
        assert error_of_the_sum(function, x, baseline, rules=rules) > 1e-3


def test_the_arithmetic_mean_does_not_close() -> None:
    """Between the probabilities lies the logarithmic mean, and no other."""

    def softmax(input: Tensor, dim: int) -> Tensor:
        def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
            means = (here.softmax(dim) + there.softmax(dim)) / 2

            def product(t: Tensor, w: Tensor) -> Tensor:
                return w * t - w * (w * t).sum(dim, keepdim=True)

            return here.softmax(dim), Slope(product, product, (means,))

        return matrixed(input, compute)

    rules = REFERENCE_RULES | {torch.softmax: softmax}
    error = error_of_the_sum(
        lambda z: torch.softmax(z, 1), double(2, 6), double(2, 6), rules=rules
    )
    assert error > 1e-3
