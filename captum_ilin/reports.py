"""``Reports``: which ops no rule covers, where they were called, and how often.

Their tangents are exact, but nobody chose them, so a run says so: by a warning, in the
certificate, or under ``strict`` by an error.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captum_ilin.errors import (
    UnregisteredOpError,
    UnregisteredOpWarning,
    without_derivative,
    without_owner,
    without_rule,
    without_rule_between,
)
from captum_ilin.warning import warn

if TYPE_CHECKING:
    from captum_ilin.location import Site

__all__ = ["Reports"]


@dataclass
class Reports:
    """What one frozen run reports.

    Attributes:
        strict: raise at an op without a rule instead of counting it.
        is_between: the run lies between two operating points.
        unregistered: where an op without a rule was called, and how often.
        functions: those among them that are custom functions, which can have no rule.
        unowned: where a constant differs between two points, and what changes with it has no
            owner; those are among the unregistered.
        held: where an op without a rule and without a derivative was called.
    """

    strict: bool = False
    is_between: bool = False
    unregistered: Counter[Site] = field(default_factory=Counter)
    functions: set[Site] = field(default_factory=set)
    unowned: set[Site] = field(default_factory=set)
    held: Counter[Site] = field(default_factory=Counter)

    def note_unregistered(
        self, site: Site, *, is_function: bool = False, is_unowned: bool = False
    ) -> None:
        """Count a call of an op without a rule, or raise under ``strict``."""
        if is_unowned:
            self.unowned.add(site)
            if self.strict:
                raise UnregisteredOpError(without_owner([site]))
        if is_function:
            self.functions.add(site)
        if self.strict:
            raise UnregisteredOpError(self._without_rule([site]))
        self.unregistered[site] += 1

    def note_held(self, site: Site) -> None:
        """Count a call whose result is held constant, for want of a derivative."""
        self.held[site] += 1

    def warn(self) -> None:
        """One warning for all ops without a rule, and one for those without a derivative."""
        without = [site for site in self.unregistered if site not in self.unowned]
        if without:
            warn(UnregisteredOpWarning, self._without_rule(without))
        if self.unowned:
            warn(UnregisteredOpWarning, without_owner(sorted(map(str, self.unowned))))
        if self.held:
            warn(UnregisteredOpWarning, without_derivative(list(self.held)))

    def _without_rule(self, sites: list[Site]) -> str:
        message = without_rule_between if self.is_between else without_rule
        return message(sites, self.functions, strict=self.strict)
