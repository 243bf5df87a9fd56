"""``Variance``: how much of F's variance over the background the terms of each order explain.

Terms in the zero-sum gauge are orthogonal under the background, so that their variances add up
(Sobol 1993): Var F = Σ_k V_k, V_k = Σ_{|S|=k} Σ_a p(a_S) F_S(a_S)².

From samples, the square of an estimated term is too large by its own error. So V_k is estimated
from independent replicates of the terms as the mean product of two different ones (Hoeffding
1948, a U-statistic), which is unbiased and may be negative; standard errors by the jackknife.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.companions.categorical.terms import averaged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.terms import Positions

__all__ = ["Replicates", "Variance", "exact_variance", "mean_square"]


@dataclass(frozen=True)
class Variance:
    """Variance of F over the background, by order of the terms.

    Attributes:
        total: Var F, (\\*out), in F's unit squared.
        by_order: order k from 1 → V_k, (\\*out).
        shares: order k → V_k / Var F, from 0 to 1; NaN where F is constant.
        rest: the share of the terms of more positions, 1 − Σ_k V_k / Var F.
        standard_errors: of ``by_order``; None where all is exact.
        share_errors: of ``shares``; None where all is exact.
        rest_error: of ``rest``; None where all is exact.
    """

    total: Tensor
    by_order: dict[int, Tensor]
    shares: dict[int, Tensor]
    rest: Tensor
    standard_errors: dict[int, Tensor] | None = None
    share_errors: dict[int, Tensor] | None = None
    rest_error: Tensor | None = None


def mean_square(term: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Σ_a p(a) F(a)², over the first axes."""
    found = term.square()
    for each in weights:
        found = averaged(found, each, 0)
    return found


def exact_variance(
    total: Tensor, terms: Mapping[Positions, Tensor], background: Background
) -> Variance:
    """From exact terms, and Var F over every pattern."""
    by_order: dict[int, Tensor] = {}
    for positions, term in terms.items():
        if order := len(positions):
            found = mean_square(term, [background.probabilities[i] for i in positions])
            by_order[order] = by_order.get(order, torch.zeros_like(total)) + found
    shares = {k: found / total for k, found in by_order.items()}
    return Variance(total, by_order, shares, _rest(shares, total))


def _rest(shares: Mapping[int, Tensor], total: Tensor) -> Tensor:
    """The share that no order explains; NaN where there is no variance."""
    return total / total - sum(shares.values(), torch.zeros_like(total))


class Replicates:
    """Independent replicates of φ, E[F²] and the inner products of terms.

    Attributes:
        phi, square: (replicates, outputs).
        products: order k → Σ_{|S|=k} Σ_a p(a) F_S^(r)(a) F_S^(s)(a), (r, s, outputs).
    """

    def __init__(self, phi: Tensor, square: Tensor, products: dict[int, Tensor]) -> None:
        self.phi, self.square, self.products = phi, square, products

    def variance(self) -> Variance:
        """Unbiased estimates of Var F and V_k, and their standard errors."""
        total, each_total = self._total()
        found = {k: _u_statistic(product) for k, product in self.products.items()}
        shares = {k: whole / total for k, (whole, _) in found.items()}
        each_share = {k: without / each_total for k, (_, without) in found.items()}
        return Variance(
            total,
            {k: whole for k, (whole, _) in found.items()},
            shares,
            _rest(shares, total),
            {k: _jackknife(without) for k, (_, without) in found.items()},
            {k: _jackknife(share) for k, share in each_share.items()},
            _jackknife(_rest(each_share, each_total)),
        )

    def _total(self) -> tuple[Tensor, Tensor]:
        """Var F, and without each replicate."""
        products = self.phi[:, None] * self.phi[None]
        squared, without = _u_statistic(products)
        others = (self.square.sum(0) - self.square) / (len(self.square) - 1)
        return self.square.mean(0) - squared, others - without


def _u_statistic(products: Tensor) -> tuple[Tensor, Tensor]:
    """The mean product of two different replicates: of all, and without each one."""
    count = len(products)
    diagonal = products.diagonal(dim1=0, dim2=1).T  # (replicates, outputs)
    rows = products.sum(1) - diagonal
    pairs = rows.sum(0)
    whole = pairs / (count * (count - 1))
    return whole, (pairs - 2 * rows) / ((count - 1) * (count - 2))


def _jackknife(without: Tensor) -> Tensor:
    """A standard error from the estimates without each replicate (Efron and Stein 1981)."""
    count = len(without)
    return ((count - 1) / count * (without - without.mean(0)).square().sum(0)).sqrt()
