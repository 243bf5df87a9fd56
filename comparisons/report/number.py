"""Numbers as tables show them: three digits, an interval in the decimals of its estimate."""

from __future__ import annotations

import math
from decimal import Decimal

__all__ = ["number", "numbers"]


def number(value: float) -> str:
    """One number.

    >>> number(0.12345), number(1234.5), number(1.234e-7), number(0.0), number(float("nan"))
    ('0.123', '1234', '1.2e-7', '0', '–')
    """
    return numbers(value)[0]


def numbers(value: float, *ends: float) -> tuple[str, ...]:
    """An estimate and its ends, all in the same form.

    >>> numbers(0.5, 0.4567, 0.54321)
    ('0.500', '0.457', '0.543')
    >>> numbers(2e-7, 1e-7, 3.2e-7)
    ('2.0e-7', '1.0e-7', '3.2e-7')
    """
    largest = max((abs(x) for x in (value, *ends) if math.isfinite(x)), default=0.0)
    if not largest or 1e-2 <= largest < 1e5:
        decimals = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
        return tuple(_plain(x, min(decimals, 4)) for x in (value, *ends))
    return tuple(_scientific(x) for x in (value, *ends))


def _plain(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return "–" if math.isnan(value) else f"{value}"
    return f"{round(Decimal(value), decimals) + 0:.{decimals}f}"  # + 0: no minus zero


def _scientific(value: float) -> str:
    if not math.isfinite(value) or value == 0:
        return _plain(value, 0)
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"
