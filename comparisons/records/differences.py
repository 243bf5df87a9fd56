"""What two descriptions of a run differ in, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["differences"]

UNCOMPARED = ("about", "known_failures")  # they change no record


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two descriptions differ, each with both values."""
    before, after = _flat(old), _flat(new)
    return [
        f"{key}: was {before.get(key, 'not there')}, is {after.get(key, 'not there')}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key, ...) != after.get(key, ...) and key not in UNCOMPARED
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
