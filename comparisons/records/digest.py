"""Digests: what tells parameters apart, and the seeds that are derived from names."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["digest", "seed_of"]


def digest(value: Any) -> str:
    """12 hexadecimal digits of the sha256 of a value's JSON.

    >>> digest({"steps": 50, "baseline": "zero"}) == digest({"baseline": "zero", "steps": 50})
    True
    """
    return hashlib.sha256(_text(value).encode()).hexdigest()[:12]


def seed_of(*parts: Any) -> int:
    """A seed in 0 … 2³¹ − 1, from the sha256 of the parts.

    >>> 0 <= seed_of(0, "digits_cnn", 1) < 2**31
    True
    >>> seed_of(0, "digits_cnn", 1) == seed_of(0, "digits_cnn", 2)
    False
    """
    found = hashlib.sha256(_text(parts).encode()).digest()
    return int.from_bytes(found[:4], "big") >> 1  # NumPy takes no more than 32 bits


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_named)


def _named(value: Any) -> str:
    """A class or function by its name: its ``repr`` holds an address."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else f"{type(value).__qualname__} {value}"
