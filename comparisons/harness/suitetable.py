"""A table of a suite's file, whose values are read with what is expected of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from comparisons.nearest import hint

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

__all__ = ["SuiteError", "Table"]

KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
MISSING = object()


class SuiteError(ValueError):
    """A suite that cannot be run; the message says where and what is expected."""


@dataclass(frozen=True)
class Table:
    """Part of a TOML file.

    Attributes:
        path: the file.
        where: the table's own key in it, such as ``measures[0]``; "" for the whole.
        values: what it holds.
    """

    path: Path
    where: str
    values: dict[str, Any]

    def text(self, key: str, default: Any = MISSING) -> str:
        """A text."""
        return str(self.get(key, str, default))

    def number(self, key: str, default: int, *, least: int | None = None) -> int:
        """A whole number."""
        found = self.get(key, int, default)
        if least is not None and found < least:
            self.refuse(key, f"a whole number of at least {least}", found)
        return int(found)

    def name(self, key: str, known: Collection[str], what: str) -> str:
        """The name of something known."""
        found = self.text(key)
        self.expect_known(key, found, known, what)
        return found

    def names(self, key: str, known: Collection[str], what: str) -> tuple[str, ...]:
        """A list, not empty, of names of things known."""
        found = self.get(key, list, MISSING)
        if not found:
            self.refuse(key, f"at least one {what}", found)
        for number, name in enumerate(found):
            self.expect_known(f"{key}[{number}]", name, known, what)
        return tuple(found)

    def tables(self, key: str) -> list[Table]:
        """The tables of ``[[key]]``, at least one."""
        found = self.get(key, list, MISSING)
        if not found or not all(isinstance(part, dict) for part in found):
            self.refuse(key, f"tables, each headed [[{key}]]", found)
        return [
            Table(self.path, self._path(f"{key}[{n}]"), part) for n, part in enumerate(found)
        ]

    def like(self, key: str, default: Any) -> Any:
        """A value of the kind of its default; lists come as tuples, counts are 1 or more."""
        if isinstance(default, tuple | list):
            return self._each_like(key, default)
        if type(default) is int:
            return self.number(key, default, least=min(default, 1))
        if default is None:
            return self.values.get(key)
        if isinstance(default, float) and isinstance(self.values.get(key), int):
            return float(self.get(key, int))
        return self.get(key, type(default), default)

    def _each_like(self, key: str, default: Sequence[Any]) -> tuple[Any, ...]:
        found = self.get(key, list, list(default))
        if not found:
            self.refuse(key, "a list that is not empty", found)
        parts = Table(self.path, self.where, {f"{key}[{n}]": v for n, v in enumerate(found)})
        return tuple(parts.like(part, default[0]) for part in parts.values)

    def get(self, key: str, kind: type, default: Any = MISSING) -> Any:
        """The value of ``key``, of the given kind."""
        found = self.values.get(key, default)
        expected = KINDS[kind]
        if found is MISSING:
            raise SuiteError(f"{self.path}: {self._path(key)} is missing: expected {expected}.")
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            self.refuse(key, expected, found)
        return found

    def expect_keys(self, known: Sequence[str]) -> None:
        """Refuse a key that means nothing here."""
        for key in self.values:
            if key not in known:
                raise SuiteError(
                    f"{self.path}: {self._path(key)}: unknown key. {hint(key, known, most=1)}"
                )

    def expect_known(self, key: str, name: Any, known: Collection[str], what: str) -> None:
        """Refuse what is no name of something known."""
        if not isinstance(name, str):
            self.refuse(key, f"the name of a {what}", name)
        if name not in known:
            raise SuiteError(
                f"{self.path}: {self._path(key)}: unknown {what} {name!r}. {hint(name, known)}"
            )

    def expect_once(self, key: str, names: list[Any]) -> None:
        """Refuse what is listed twice: its records could not be told apart."""
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise SuiteError(f"{self.path}: {self._path(key)}: {twice[0]!r} is there twice.")

    def refuse(self, key: str, expected: str, got: Any) -> NoReturn:
        """Raise, saying what was expected and got."""
        raise SuiteError(f"{self.path}: {self._path(key)}: expected {expected}, got {got!r}.")

    def _path(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key
