"""Local fidelity: whether the affine map of x is the network around x, not only at x.

    F(x + δ) = W (x + δ) + b    for every δ that stays in the region of x.

Whether x + δ is still in the region is told by W alone, from a map made anew at x + δ; the
error compares F, from a plain forward pass, with W and b of x. Neither enters the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.linearization import linearize
from captum_ilin.metrics.chance import Seed, generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import Features, as_tuple, flattened
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.values import Values
from captum_ilin.rules import DEFAULT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.metrics.features import Inputs
    from captum_ilin.ruletable import RuleTable

__all__ = ["LocalFidelity", "local_fidelity"]


@dataclass(frozen=True)
class LocalFidelity:
    """What `local_fidelity` measured.

    Attributes:
        error: the largest |F(x+δ) − (W(x+δ) + b)| over the δ inside; lower is better; NaN
            where no δ stays inside.
        inside: the share of δ that stays inside the region of x, 0 to 1; descriptive.

    >>> import torch
    >>> from captum_ilin.metrics import local_fidelity
    >>> local_fidelity(torch.nn.Linear(2, 1).double(), torch.ones(3, 2).double()).inside
    Scores(share of perturbations inside the region: mean 1, median 1, n 3, NaN 0)
    """

    error: Scores
    inside: Scores


def local_fidelity(
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    rules: RuleTable = DEFAULT_RULES,
    radius: float = 1e-3,
    samples: int = 32,
    relative: bool = False,
    tolerance: float | None = None,
    batch_size: int = 64,
    seed: Seed = 0,
) -> LocalFidelity:
    """How far the affine map of x is from the network near x, inside the region of x.

    max over δ inside of |F(x+δ) − (W(x+δ) + b)|, for δ of random direction and length
    radius·‖x‖₂. W and b are those of ``linearize`` at x, b as its ledger adds it up. δ is
    inside if W at x+δ is W at x to rounding: ‖W(x+δ) − W(x)‖₂ ≤ tolerance·‖W(x)‖₂. On
    piecewise-linear networks the region is the polytope of one activation pattern; where a
    smooth op is met it is the point x alone, and nothing stays inside.

    Args:
        forward_func: what is explained.
        inputs: x, (batch, \\*features), or a tuple of such tensors.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of ``forward_func``.
        rules: how each op is frozen.
        radius: length of δ relative to that of x.
        samples: how many δ; every example gets the same directions.
        relative: divide by |F(x)|.
        tolerance: of W. Default: 1000 units of rounding of the input's type, 1.2e-4 in
            float32 and 2.2e-13 in float64: a crossing that changes W by less moves F by less
            than tolerance·radius·‖W‖·‖x‖, which is rounding too.
        batch_size: rows that go through the network at once.
        seed: an int or a generator.

    Returns:
        LocalFidelity: error (lower is better, in units of the output; NaN where no δ stays
        inside) and the share inside (0 to 1).

    Raises:
        MetricInputError: radius or samples is not positive.

    Cost: 1 + samples rows frozen and backward, and as many plain forward.

    Source: F(x) = W x + b of Li et al. 2023, arXiv 2310.16295; regions as in Montufar et al.
    2014, arXiv 1402.1869.

    >>> import torch
    >>> from captum_ilin.metrics import local_fidelity
    >>> x = torch.tensor([[1.0, 1.0], [1e-9, 1.0]], dtype=torch.float64)
    >>> found = local_fidelity(lambda x: torch.relu(x).sum(1), x, samples=64)
    >>> found.inside.values[0], bool(0 < found.inside.values[1] < 1)
    (tensor(1., dtype=torch.float64), True)
    >>> bool(found.error.values.max() < 1e-15)
    True
    """
    _check(radius, samples)
    parts = tuple(part.detach() for part in as_tuple(inputs))
    values = Values(forward_func, len(parts[0]), target, additional_forward_args, batch_size)
    around = _Around(values, parts, rules)
    eps = torch.finfo(parts[0].dtype).eps
    errors, changes = around.compared(radius, _directions(samples, around.points, seed))
    inside = changes <= (1000 * eps if tolerance is None else tolerance)
    output = values.of(parts) if relative else None
    return _scores(errors, inside, around.points.norm(dim=1) == 0, output)


def _check(radius: float, samples: int) -> None:
    if radius <= 0 or samples < 1:
        raise MetricInputError(
            f"radius is {radius} and samples is {samples}; expected a positive length and 1 "
            "perturbation or more."
        )


def _directions(samples: int, points: Tensor, seed: Seed) -> Tensor:
    """(samples, size) of length 1."""
    generator = generator_of(seed)
    shape = (samples, points.shape[1])
    drawn = torch.randn(shape, dtype=torch.float64, generator=generator)
    return (drawn / drawn.norm(dim=1, keepdim=True)).to(points.device)


class _Around:
    """Maps at the examples, and F and W at points around them."""

    def __init__(self, values: Values, parts: tuple[Tensor, ...], rules: RuleTable) -> None:
        self.values, self.parts, self.rules = values, parts, rules
        self.points = flattened(parts).double()
        every = torch.arange(len(self.points), device=self.points.device)
        maps = [
            self._map(tuple(part[rows] for part in parts), rows)
            for rows in every.split(values.batch_size)
        ]
        self.weight = torch.cat([weight for weight, _ in maps])
        self.bias = torch.cat([bias for _, bias in maps])

    def compared(self, radius: float, directions: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, samples) of error, and of the change of W relative to W."""
        batch, samples = len(self.points), len(directions)
        examples = torch.arange(batch, device=self.points.device).repeat_interleave(samples)
        rows = torch.arange(len(examples), device=examples.device)
        length = radius * self.points.norm(dim=1)
        found = [
            self._compare(
                examples[chunk], directions[chunk % samples] * length[examples[chunk], None]
            )
            for chunk in rows.split(self.values.batch_size)
        ]
        errors, changes = (torch.cat(column) for column in zip(*found, strict=True))
        return errors.reshape(batch, samples), changes.reshape(batch, samples)

    def _compare(self, examples: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        moved = Features(self.parts).shaped(self.points[examples] + moves)
        weight, bias = self.weight[examples], self.bias[examples]
        there, _ = self._map(moved, examples, with_bias=False)
        # x + δ as the network got it: rounded to the input's own type.
        predicted = (weight * flattened(moved).double()).sum(1) + bias
        error = (self.values(moved, examples) - predicted).abs()
        change = (there - weight).norm(dim=1) / weight.norm(dim=1)
        return error, torch.where((there == weight).all(1), 0.0, change)

    def _map(
        self, parts: tuple[Tensor, ...], examples: Tensor, *, with_bias: bool = True
    ) -> tuple[Tensor, Tensor]:
        """W, (rows, size), and b, (rows,)."""
        affine_map = linearize(
            self.values.forward_func,
            parts,
            additional_forward_args=self.values.constants_of(examples) or None,
            rules=self.rules,
        )
        targets = self.values.targets_of(examples)
        weight = flattened(affine_map.weight(targets)).double()
        return weight, affine_map.bias(targets).double() if with_bias else weight[:, 0]


_STILL = "x is 0, so a length relative to it is 0"
_OUTSIDE = "no perturbation stays inside the region: W has changed at every one"


def _scores(
    errors: Tensor, inside: Tensor, still: Tensor, output: Tensor | None
) -> LocalFidelity:
    inside = inside & ~still[:, None]
    error = torch.where(inside, errors, -torch.inf).amax(1)
    error = torch.where(inside.any(1), error, torch.nan)
    if output is not None:
        error = torch.where(output == 0, torch.nan, error / output.abs())
    reasons = [
        _STILL if is_still else "F(x) is 0" if any_inside else _OUTSIDE
        for is_still, any_inside in zip(still.tolist(), inside.any(1).tolist(), strict=True)
    ]
    name = "local fidelity error" if output is None else "relative local fidelity error"
    share = torch.where(still, torch.nan, inside.double().mean(1))
    return LocalFidelity(
        Scores.of(name, Direction.LOWER, error, reasons),
        Scores.of(
            "share of perturbations inside the region", Direction.DESCRIPTIVE, share, _STILL
        ),
    )
