"""``refit``: the head fitted anew, Θ* = argmin λ‖Θ‖² + (1/n) Σ L(t_i, Θ f_i), to stationarity.

L is the cross-entropy of softmax, so the problem is strictly convex and Θ* is the one point
where the gradient 2λΘ + (1/n) Σ (p_i − t_i) f_iᵀ is zero. With α_i = (t_i − p_i) / (2λn) it
says Θ* = Σ α_i f_iᵀ (Yeh et al. 2018, arXiv 1811.09720, theorem 3.1). What is left of the
gradient is what is left of that identity: ‖Θ − Σ α_i f_iᵀ‖ = ‖gradient‖ / (2λ).

PyTorch's L-BFGS minimises with a strong Wolfe line search, which compares values of the
objective. Close to the minimum these differ by less than rounding, long before the gradient is
as small as rounding allows. So the objective is counted from a reference point Θ_0 that moves
along, where it is zero, written so that nothing cancels. For Θ = Θ_0 + D and δ_i = D f_i it is

    ⟨gradient at Θ_0, D⟩ + λ‖D‖² + (1/n) Σ [log Σ_c p_ic exp δ_ic − Σ_c p_ic δ_ic].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_ilin.companions.representer.errors import NotConvergedError

if TYPE_CHECKING:
    from captum_ilin.companions.representer.trainingset import TrainingSet

__all__ = ["Refit", "refit"]

STEPS = 20  # of L-BFGS before the reference point moves
HISTORY = 30  # of L-BFGS
TRIES = 25  # evaluations that one line search may take, PyTorch's own limit
UNIT = 1e-8  # of weights, and its square of the objective: PyTorch's L-BFGS ends a line search
# at a step of 1e-9 and forgets one of curvature below 1e-10, whatever their units


@dataclass(frozen=True)
class Refit:
    """The refitted head.

    Attributes:
        weight: Θ*, (classes, width), the constant feature last if there is one.
        coefficients: α, (n, classes).
        stationarity: ‖gradient‖ / (2λ‖Θ‖), which is ‖Θ − Σ α_i f_iᵀ‖ / ‖Θ‖.
        evaluations: passes over the features.
    """

    weight: Tensor
    coefficients: Tensor
    stationarity: float
    evaluations: int


def refit(
    examples: TrainingSet,
    targets: Tensor,
    *,
    penalty: float,
    tolerance: float,
    max_evaluations: int,
    show_progress: bool,
) -> Refit:
    """Fit the head to ``targets``, (n, classes), rows of probabilities.

    Raises:
        NotConvergedError: the stationarity asked for was not reached.
    """
    problem = _Problem(examples, targets, penalty)
    stretched = torch.zeros(targets.shape[1], examples.width, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        [stretched.requires_grad_()],
        max_iter=STEPS,
        max_eval=STEPS * TRIES,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )
    with tqdm(desc="refit", unit=" passes", disable=not show_progress) as bar:
        point = problem.at(UNIT * stretched.detach())
        while point.stationarity > tolerance and problem.evaluations < max_evaluations:
            problem.step(optimizer, stretched, point)
            before, point = point, problem.at(UNIT * stretched.detach())
            bar.update(problem.evaluations - bar.n)
            bar.set_postfix(stationarity=f"{point.stationarity:.1e}")
            if torch.equal(before.weight, point.weight):
                break  # rounding allows no further step
    _expect_converged(point, penalty, tolerance, problem.evaluations)
    coefficients = (targets.double() - point.probabilities) / (2 * penalty * len(examples))
    return Refit(point.weight, coefficients, point.stationarity, problem.evaluations)


class _Point(NamedTuple):
    """A head, its softmax for every example, (n, classes), and the objective's gradient."""

    weight: Tensor
    probabilities: Tensor
    gradient: Tensor
    stationarity: float


@dataclass
class _Problem:
    examples: TrainingSet
    targets: Tensor
    penalty: float
    evaluations: int = 0

    def at(self, weight: Tensor) -> _Point:
        """A reference point."""
        self.evaluations += 1
        gradient, found = 2 * self.penalty * weight, []
        for rows, features in self.examples.portions():
            found.append(self.examples.scores(features, weight).softmax(1))
            off = found[-1] - self.targets[rows].double()
            gradient = gradient + self.examples.sums(off, features) / len(self.examples)
        return _Point(
            weight.clone(), torch.cat(found), gradient, self._stationarity(weight, gradient)
        )

    def step(self, optimizer: torch.optim.LBFGS, stretched: Tensor, start: _Point) -> None:
        """Some steps of the optimiser, its objective counted from ``start``."""

        def closure() -> float:
            value, gradient = self._beside(start, UNIT * stretched.detach())
            stretched.grad = gradient / UNIT
            return value / UNIT**2

        optimizer.step(closure)

    def _beside(self, start: _Point, weight: Tensor) -> tuple[float, Tensor]:
        """The objective less its value at ``start``, and its gradient."""
        self.evaluations += 1
        change = weight - start.weight
        value = (start.gradient * change).sum() + self.penalty * change.square().sum()
        gradient = start.gradient + 2 * self.penalty * change
        for rows, features in self.examples.portions():
            before = start.probabilities[rows]
            growth, grown = _growth(before, self.examples.scores(features, change))
            value = value + growth / len(self.examples)
            gradient = gradient + self.examples.sums(grown, features) / len(self.examples)
        return float(value), gradient

    def _stationarity(self, weight: Tensor, gradient: Tensor) -> float:
        size = float(gradient.norm()) / (2 * self.penalty)
        scale = float(weight.norm())
        return size / scale if scale else (1.0 if size else 0.0)


def _growth(before: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Σ [log Σ_c p_c exp δ_c − Σ_c p_c δ_c], and the softmax's change, for p = ``before``.

    Each δ is counted from its mean under p, which changes neither and leaves the first sum of
    second order: nothing cancels.
    """
    delta = delta - (before * delta).sum(1, keepdim=True)
    largest = delta.amax(1, keepdim=True).clamp(min=0)
    is_small = largest < 1
    second = (before * (torch.expm1(delta) - delta)).sum(1, keepdim=True)
    log_small = torch.log1p(second)
    scaled = (before * torch.exp(delta - largest)).sum(1, keepdim=True)
    log_sum = torch.where(is_small, log_small, largest + scaled.log())
    changed = before * torch.expm1(delta - log_sum)
    return log_sum.sum(), changed


def _expect_converged(
    point: _Point, penalty: float, tolerance: float, evaluations: int
) -> None:
    if point.stationarity <= tolerance:
        return
    raise NotConvergedError(
        f"The refit of the head did not converge: after {evaluations} passes over the features "
        f"‖gradient‖ / (2λ‖Θ‖) is {point.stationarity:.2g}, and {tolerance:.2g} was asked for. "
        "The votes would miss the logits by about that share. Raise max_evaluations or λ "
        f"(penalty, which is {penalty:g}; a small one is slow), or accept a larger tolerance."
    )
