"""The χ² distribution: the sum of the squares of K standard normal numbers.

P(χ²_K ≤ q) = P(K/2, q/2), the regularised lower incomplete gamma function.
"""

from __future__ import annotations

import torch

__all__ = ["chi_square_quantile"]


def chi_square_quantile(probability: float, degrees: int) -> float:
    """q with P(χ²_K ≤ q) = ``probability``, from below: P does not exceed it.

    By bisection of log q, which has 200 halvings to go from 10³⁰⁰ down to rounding.
    """
    low, high = torch.tensor([-690.0, 690.0], dtype=torch.float64)
    half = torch.tensor(degrees / 2, dtype=torch.float64)
    for _ in range(200):
        middle = (low + high) / 2
        is_below = torch.special.gammainc(half, middle.exp() / 2) <= probability
        low, high = (middle, high) if is_below else (low, middle)
    return float(low.exp())
