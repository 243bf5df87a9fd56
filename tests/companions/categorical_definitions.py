"""The terms from their definitions, slowly: sums over every pattern, without shared code."""

from __future__ import annotations

from itertools import chain, combinations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["by_definition", "page_gauge", "share_of_order"]

Pattern = tuple[int, ...]


def by_definition(
    energy: Callable[[Pattern], float], probabilities: Sequence[np.ndarray], order: int
) -> dict[Pattern, np.ndarray]:
    """F_S(a) = Σ_{T⊆S} (−1)^{|S|−|T|} E[F | a_T], conditional means one pattern at a time."""
    counts = [len(p) for p in probabilities]
    values = {a: energy(a) for a in product(*map(range, counts))}

    def mean(fixed: dict[int, int]) -> float:
        """E[F | a_T], positions independent: the fixed ones carry no weight of their own."""
        total = mass = 0.0
        for a in values:
            if all(a[i] == c for i, c in fixed.items()):
                free = [p[a[i]] for i, p in enumerate(probabilities) if i not in fixed]
                each = float(np.prod(free)) if free else 1.0
                total, mass = total + each * values[a], mass + each
        return total / mass

    found = {}
    for k in range(order + 1):
        for S in combinations(range(len(counts)), k):
            table = np.zeros([counts[i] for i in S])
            for a in product(*(range(counts[i]) for i in S)):
                subsets = chain.from_iterable(combinations(range(k), t) for t in range(k + 1))
                table[a] = sum(
                    (-1) ** (k - len(T)) * mean({S[t]: a[t] for t in T}) for T in subsets
                )
            found[S] = table
    return found


def page_gauge(
    phi: float, h: np.ndarray, J: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The page's formulas for (φ, h, J), index by index; J[i, j] with i < j counts."""
    L, q = h.shape
    full = J.copy()
    for i in range(L):
        for j in range(i):
            full[i, j] = J[j, i].T
        full[i, i] = 0
    new_J, new_h = np.zeros_like(full), np.zeros_like(h)
    new_phi = phi
    for i in range(L):
        new_phi += h[i].mean()
        for j in range(i + 1, L):
            new_phi += full[i, j].mean()
        for a in range(q):
            new_h[i, a] = h[i, a] - h[i].mean()
            for j in range(L):
                if j == i:
                    continue
                new_h[i, a] += full[i, j][a].mean() - full[i, j].mean()
                for b in range(q):
                    new_J[i, j, a, b] = (
                        full[i, j, a, b]
                        - full[i, j][:, b].mean()
                        - full[i, j][a].mean()
                        + full[i, j].mean()
                    )
    return new_phi, new_h, new_J


def share_of_order(
    terms: dict[Pattern, np.ndarray],
    energy: Callable[[Pattern], float],
    probabilities: Sequence[np.ndarray],
    order: int,
) -> float:
    """Σ_{|S|=k} Σ_a p(a) F_S(a)² / Var F, with both as means over whole patterns."""
    counts = [len(p) for p in probabilities]
    patterns = list(product(*map(range, counts)))
    weights = np.array(
        [np.prod([p[c] for p, c in zip(probabilities, a, strict=True)]) for a in patterns]
    )
    values = np.array([energy(a) for a in patterns])
    of_order = np.array(
        [
            sum(f[tuple(a[i] for i in S)] for S, f in terms.items() if len(S) == order)
            for a in patterns
        ]
    )
    mean = (weights * values).sum()
    return float((weights * of_order**2).sum() / (weights * (values - mean) ** 2).sum())
