"""Products split evenly: W and b against Jacobians taken apart by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import (
    ATTNLRP_RULES,
    SPLIT_RULES,
    RuleTable,
    check_rule,
    gate_rank,
    linearize,
)
from tests.rules.cases import active, values
from tests.rules.halves import SPLITS, TABLES, shared
from tests.rules.test_cases import PAIRS, _tested

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rules.cases import Case


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated"),  # of ops that are old but still called
    pytest.mark.filterwarnings("ignore:.*in beta"),
    pytest.mark.filterwarnings("ignore:torch.asarray"),
]


def _pair(*shapes: tuple[int, ...], **bounds: float) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: tuple(active(*shape, **bounds) for shape in shapes)


def _well_posed() -> tuple[Tensor, Tensor]:
    """A matrix far from singular, and a right-hand side."""
    matrix = values(3, 3, low=-0.3, high=0.3) + torch.eye(3, dtype=torch.float64)
    return matrix.requires_grad_(), active(3, 2)


# Every one a product of two factors, one made from each argument at its own tangent.
HALVES: dict[str, tuple[Callable[..., Tensor], Callable[[], tuple[Tensor, ...]]]] = {
    "mul": (torch.mul, _pair((2, 3), (2, 3))),
    "mul, broadcast": (lambda a, b: a * b, _pair((2, 3), (3,))),
    "mul_": (lambda a, b: a.clone().mul_(b), _pair((2, 3), (2, 3))),
    "matmul": (torch.matmul, _pair((2, 3), (3, 2))),
    "bmm": (torch.bmm, _pair((2, 2, 3), (2, 3, 2))),
    "einsum": (lambda a, b: torch.einsum("ij,kj->ik", a, b), _pair((2, 3), (2, 3))),
    "linear": (F.linear, _pair((2, 3), (4, 3))),
    "conv1d": (F.conv1d, _pair((1, 2, 4), (2, 2, 2))),
    "kron": (torch.kron, _pair((2,), (3,))),
    "addcmul": (lambda a, b: torch.addcmul(torch.ones(3).double(), a, b), _pair((3,), (3,))),
    "sigmoid gate": (lambda a, b: a * b.sigmoid(), _pair((3,), (3,))),
    "gate first": (lambda a, b: b.sigmoid() * a, _pair((3,), (3,))),
    "two gates": (lambda a, b: a.sigmoid() * b.softmax(-1), _pair((3,), (3,))),
    "exp gate": (lambda a, b: a * (-b).exp(), _pair((3,), (3,))),
    "hardsigmoid gate": (lambda a, b: a * (F.relu6(b + 3) / 6), _pair((3,), (3,))),
    "glu": (lambda a, b: F.glu(torch.cat([a, b])), _pair((3,), (3,))),
    "excitation": (
        lambda a, b: a * b.sigmoid().unsqueeze(-1).unsqueeze(-1),
        _pair((1, 2, 2, 2), (1, 2)),
    ),
    "pattern": (lambda a, b: a.softmax(-1) @ b, _pair((2, 3), (3, 2))),
    "a / b": (torch.div, _pair((3,), (3,))),
    "a /= b": (lambda a, b: a.clone().div_(b), _pair((3,), (3,))),
    "b.__rdiv__(a)": (lambda a, b: b.__rdiv__(a), _pair((3,), (3,))),
    "a · reciprocal": (lambda a, b: a * b.reciprocal(), _pair((3,), (3,))),
    "a · 1/b": (lambda a, b: a * (1 / b), _pair((3,), (3,))),
    "a · b^-1": (lambda a, b: a * b**-1, _pair((3,), (3,))),
    "a / (1 + exp b)": (lambda a, b: a / (1 + b.exp()), _pair((3,), (3,))),
    "addcdiv": (lambda a, b: torch.addcdiv(torch.ones(3).double(), a, b), _pair((3,), (3,))),
    "ldexp": (torch.ldexp, _pair((3,), (3,))),
    "a · 2^b": (lambda a, b: a * 2**b, _pair((3,), (3,))),
    "solve": (torch.linalg.solve, _well_posed),
    "inverse": (lambda a, b: torch.linalg.inv(a) @ b, _well_posed),
    "triangular": (
        lambda a, b: torch.linalg.solve_triangular(a.triu(), b, upper=True),
        _well_posed,
    ),
}


@SPLITS
@pytest.mark.parametrize("name", HALVES)
def test_two_active_factors_get_half_each(name: str, rules: RuleTable) -> None:
    op, make = HALVES[name]
    args = make()
    check_rule(op, *args, rules=rules, reference=shared(op, args, 0.5, 0.5))


@SPLITS
def test_n_active_factors_get_the_nth_part(rules: RuleTable) -> None:
    def op(*factors: Tensor) -> Tensor:
        return torch.einsum("i,i,i->i", *factors)

    args = (active(3), active(3), active(3))
    check_rule(op, *args, rules=rules, reference=shared(op, args, *[1 / 3] * 3))


@SPLITS
@pytest.mark.parametrize("name", [name for name in HALVES if name != "glu"])
def test_one_active_factor_gets_all(name: str, rules: RuleTable) -> None:
    """Its tangent, which for a factor that enters as it is is all there is."""
    op, make = HALVES[name]
    for place in (0, 1):
        args = tuple(
            arg if number == place else arg.detach() for number, arg in enumerate(make())
        )
        check_rule(op, *args, rules=rules, reference=shared(op, args, 1.0))


def _mean_square(z: Tensor) -> Tensor:
    return z.pow(2).mean(-1, keepdim=True)


# What is scaled by a statistic of b. A square is a product as well, b · b, whose even split has
# half of its slope: the statistics that are written out with one get a quarter.
WRITTEN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "rsqrt": lambda a, b: a * torch.rsqrt(b.square().mean(-1, keepdim=True) + 0.1),
    "pow -½": lambda a, b: a * (_mean_square(b) + 0.1) ** -0.5,
    "1 / sqrt": lambda a, b: a * (1 / torch.sqrt(_mean_square(b) + 0.1)),
    "/ sqrt": lambda a, b: a / torch.sqrt((b * b).mean(-1, keepdim=True) + 0.1),
    "/ pow ¾": lambda a, b: a / (1 + b.square().sum(-1, keepdim=True)) ** 0.75,
}
SCALES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sqrt.reciprocal": lambda a, b: a * (b.var(-1, keepdim=True) + 0.1).sqrt().reciprocal(),
    "/ std": lambda a, b: a / (b.std(-1, keepdim=True) + 0.1),
    "/ norm": lambda a, b: a / b.norm(dim=-1, keepdim=True),
    "/= norm": lambda a, b: a.clone().div_(b.norm(dim=-1, keepdim=True)),
    "/ clamped norm": lambda a, b: a / torch.linalg.vector_norm(b, dim=-1).clamp_min(1e-5),
    "norm ·": lambda a, b: b.norm() * a,
}


@pytest.mark.parametrize("op", [pytest.param(f, id=n) for n, f in (WRITTEN | SCALES).items()])
def test_attnlrp_holds_a_scale_statistic_however_it_is_written(
    op: Callable[[Tensor, Tensor], Tensor],
) -> None:
    args = (active(4), active(4))
    check_rule(op, *args, rules=ATTNLRP_RULES, reference=shared(op, args, 1.0, 0.0))


@pytest.mark.parametrize(
    ("op", "share"),
    [pytest.param(op, 0.5, id=name) for name, op in SCALES.items()]
    + [pytest.param(op, 0.25, id=name) for name, op in WRITTEN.items()],
)
def test_split_gives_a_scale_statistic_half(
    op: Callable[[Tensor, Tensor], Tensor], share: float
) -> None:
    args = (active(4), active(4))
    check_rule(op, *args, rules=SPLIT_RULES, reference=shared(op, args, 0.5, share))


def test_no_value_is_a_gate_but_scales_under_attnlrp() -> None:
    ranks: dict[str, list[int]] = {}

    def forward(x: Tensor) -> Tensor:
        made = (x.sigmoid(), x.relu(), x.softmax(1), 1 / x, x.norm(), x.var(1), x.abs().sqrt())
        ranks[rules.name] = [gate_rank(value) for value in made]
        return x

    for rules in TABLES:
        linearize(forward, torch.rand(2, 3).double() + 1, rules=rules)
    assert ranks["DEFAULT_RULES"] == [2, 1, 2, 2, 2, 2, 1]
    assert ranks["ATTNLRP_RULES"] == [0, 0, 0, 0, 2, 2, 2]
    assert ranks["SPLIT_RULES"] == [0] * 7


ACTIVATIONS = {
    **{f.__name__: f for f in (F.gelu, F.silu, F.mish, F.hardswish, F.elu, F.softsign)},
    **{f.__name__: f for f in (torch.tanh, torch.sin, torch.erf, torch.log1p)},
}


@SPLITS
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_take_the_secant_through_the_origin(name: str, rules: RuleTable) -> None:
    """LRP's identity rule: what comes out of φ goes into z, φ(z)/z · z."""
    phi, z = ACTIVATIONS[name], active(6, low=-0.9)
    point = z.detach()
    reference = torch.diag(phi(point) / point), torch.zeros(6).double()
    check_rule(phi, z, rules=rules, reference=reference)


@SPLITS
def test_an_activation_written_out_is_a_product_like_any_other(rules: RuleTable) -> None:
    """As the rules page says; DEFAULT_RULES hold the sigmoid."""
    z = active(4)
    s = z.detach().sigmoid()
    slope = torch.diag(s / 2 + z.detach() * s * (1 - s) / 2)
    value = z.detach() * s
    reference = slope, value - slope @ z.detach()
    check_rule(lambda z: z * z.sigmoid(), z, rules=rules, reference=reference)


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_every_op_obeys_the_laws(op: Any, case: Case) -> None:
    for rules in (ATTNLRP_RULES, SPLIT_RULES):
        check_rule(_tested(op, case), *case.args(), rules=rules, **case.kwargs)
