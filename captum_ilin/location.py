"""Where in the user's model an op was called: the path of the module whose forward runs.

Found by looking up the Python stack, so no hook is set on the model and threads do not see
each other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Locator", "Site"]

_CALL = nn.Module._call_impl.__code__


class Site(NamedTuple):
    """Where something happened: the module's path and the op's name.

    A second call of the same op in the same module is ``op#2`` where calls are told apart.

    >>> print(Site("encoder.0", "linear#2"))
    linear#2 in 'encoder.0'
    """

    module: str
    op: str

    @property
    def op_name(self) -> str:
        """The op alone, without the numbers of its call and of its output.

        >>> Site("encoder.0", "linear#2").op_name
        'linear'
        """
        return self.op.partition("#")[0].partition("[")[0]

    def output(self, number: int) -> Site:
        """The same call's output with this number; the first is the site itself."""
        return Site(self.module, f"{self.op}[{number}]")

    def __str__(self) -> str:
        return f"{self.op} in {self.module!r}" if self.module else self.op


class Locator:
    """Names the module that is running, relative to the outermost one on the stack."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._roots: list[nn.Module] = []  # keeps the ids in `_paths` valid

    def path(self) -> str:
        """Path of the innermost module running now; empty outside any module."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not _CALL:
            frame = frame.f_back
        if frame is None:
            return ""
        innermost = frame.f_locals["self"]
        if id(innermost) not in self._paths:
            self._name(list(_running(frame))[-1:])
        return self._paths.get(id(innermost), type(innermost).__name__)

    def _name(self, roots: list[nn.Module]) -> None:
        self._roots += roots
        for root in roots:
            for name, module in root.named_modules():
                self._paths.setdefault(id(module), name)


def _running(frame: FrameType | None) -> Iterator[nn.Module]:
    """Modules whose forward is on the stack, innermost first."""
    while frame is not None:
        if frame.f_code is _CALL:
            yield frame.f_locals["self"]
        frame = frame.f_back
