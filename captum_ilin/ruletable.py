"""``RuleTable``: which op is frozen how.

A rule is a function with the op's own signature that returns the op's value and is affine in
its active arguments. A table maps ops, by identity, to rules. Tables are values: ``|`` makes
a new one, in which the right-hand side wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from torch.overrides import resolve_name

from captum_ilin.activity import copied
from captum_ilin.dispatched import dispatched_name, identity, is_dispatched, spelled, writes
from captum_ilin.errors import DuplicateRuleError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Kind", "Op", "Rank", "Rule", "RuleTable", "op_name"]

Op = Callable[..., Any]
Rank = int | Callable[..., int | None] | None
_RuleFunction = TypeVar("_RuleFunction", bound=Op)


class Kind(Enum):
    """What freezing does with an op that has an active argument."""

    INERT = "run it: it reads shape or metadata, never a value"
    CONSTANT = "run it on detached values: its result has no slope"
    LINEAR = "run it: on its piece it is linear in its active arguments, without a constant"
    AFFINE = "run it: it is affine in its active arguments"
    RULE = "run the rule: same value, affine"
    DECOMPOSITION = "run its definition in simpler ops, each of them frozen"
    UNREGISTERED = "take its tangent and report it: no default is settled"
    REFUSED = "raise: no exact map, or no derivative, exists through it"


@dataclass(frozen=True)
class Rule:
    """How one op is frozen.

    Attributes:
        function: has the op's signature; for kinds that run the op, the op itself.
        kind: what freezing does with it.
        name: the op's name in reports and ledgers.
        rank: gate rank of the result, or a function of the op's arguments that tells it;
            None passes on the lowest rank of the active arguments.
        inplace: the op writes its result into its first argument.
        mixes: the op sums features with weights, so that what an activation gated is a new
            feature afterwards: rank 1 becomes 0, while rank 2, a pattern, stays.
        is_elementwise: each element of the result comes from the same element of the active
            arguments. A product of factors that were all made from one value so is an
            activation written out, z · φ(z)/z, and has the rank of one.
        alone: the rule for a call whose first argument is the only active one: the op is
            affine in it, and runs as it is.
        plain: the out-of-place op with the same value.
        is_tangent: the rule's slope is the op's own Jacobian.
        reason: why the op is refused, or left without a rule.
    """

    function: Op
    kind: Kind = Kind.RULE
    name: str = ""
    rank: Rank = None
    inplace: bool = False
    plain: Op | None = None
    is_tangent: bool = False
    mixes: bool = False
    is_elementwise: bool = False
    alone: Rule | None = None
    reason: str = ""

    def rank_of_result(
        self, ranks: list[int], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> int:
        """Gate rank of the result, from those of the active arguments; ask before a write."""
        rank = self.rank(*args, **kwargs) if callable(self.rank) else self.rank
        if rank is not None:
            return rank
        lowest = min(ranks)
        return 0 if self.mixes and lowest == 1 else lowest


class RuleTable(Mapping[Op, Rule]):
    """An immutable mapping from op to rule.

    A new empty table is open for registration in the file that defines it; everything made
    with ``|`` is closed.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES, hold
    >>> table = RuleTable()
    >>> @table.freezes(torch.sinc)
    ... def sinc(input):
    ...     return hold(torch.sinc, input) + 0 * input
    >>> (DEFAULT_RULES | table)[torch.sinc].name
    'sinc'
    """

    def __init__(
        self, rules: Mapping[Op, Rule | Op] | None = None, *, name: str = "custom rules"
    ) -> None:
        self.name = name
        self._rules: dict[Op, Rule] = {
            identity(op): rule if isinstance(rule, Rule) else _rule_of(op, rule)
            for op, rule in (rules or {}).items()
        }
        self._open = rules is None

    def __getitem__(self, op: Op) -> Rule:
        return self._rules[identity(op)]

    def find(self, op: Op) -> Rule | None:
        """The rule of ``op``, or None; an exported program's op has that of its function."""
        rule = self._rules.get(op)
        if rule is None and is_dispatched(op):
            return self._find_dispatched(identity(op))
        return rule

    def _find_dispatched(self, op: Op) -> Rule | None:
        packet = getattr(op, "overloadpacket", None)
        rule = self._rules.get(op) or self._rules.get(packet)  # type: ignore[arg-type]
        if rule is not None:
            return rule
        for spelling in spelled(op):
            rule = self._rules.get(spelling)
            if rule is not None:
                return _carried_over(rule, spelling, op)
        return None

    def __iter__(self) -> Iterator[Op]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        return f"RuleTable({self.name}: {len(self)} ops)"

    def __or__(self, other: Mapping[Op, Rule | Op]) -> RuleTable:
        return RuleTable({**self._rules, **other}, name=f"{self.name} | {len(other)} ops")

    def __ror__(self, other: Mapping[Op, Rule | Op]) -> RuleTable:
        return RuleTable({**other, **self._rules}, name=f"{len(other)} ops | {self.name}")

    def named(self, name: str) -> RuleTable:
        """The same table under another name, for reports."""
        return RuleTable(self._rules, name=name)

    def freezes(
        self,
        *ops: Op,
        inplace: tuple[Op, ...] = (),
        rank: Rank = None,
        is_tangent: bool = False,
        mixes: bool = False,
        affine_in_first: bool = False,
        is_elementwise: bool = False,
    ) -> Callable[[_RuleFunction], _RuleFunction]:
        """Register the decorated rule for ``ops``, all aliases of one op.

        Args:
            ops: the op's identities, e.g. ``torch.relu, Tensor.relu, F.relu``.
            inplace (tuple, optional): identities that write into their first argument; the
                rule itself is out of place.
            rank (optional): gate rank of the result (2, 1 or 0), or a function of the op's
                arguments that returns it. Default: None, the lowest rank of the active
                arguments.
            is_tangent (bool, optional): the rule's slope is the op's own Jacobian, so
                ``TANGENT_RULES`` keeps it. Default: False
            mixes (bool, optional): the op sums features with weights, as a linear layer
                does, which ends the gate rank of an activation. Default: False
            affine_in_first (bool, optional): where the first argument alone is active, the
                op runs as it is. Default: False
            is_elementwise (bool, optional): each element of the result comes from the same
                element of the active arguments. Default: False

        Raises:
            DuplicateRuleError: an op has a rule in this table already.
            TypeError: the table was made with ``|`` and is closed.
        """

        def register(function: _RuleFunction) -> _RuleFunction:
            name = op_name(ops[0])
            rule = Rule(
                function,
                name=name,
                rank=rank,
                plain=ops[0],
                is_tangent=is_tangent,
                mixes=mixes,
                is_elementwise=is_elementwise,
            )
            for op in ops:
                alone = replace(rule, function=op, kind=Kind.AFFINE)
                self._add((op,), replace(rule, alone=alone) if affine_in_first else rule)
            if inplace:
                register_write = self.writes(
                    *inplace, plain=ops[0], rank=rank, is_tangent=is_tangent
                )
                register_write(_written(function))
            return function

        return register

    def writes(
        self, *ops: Op, plain: Op, rank: Rank = None, is_tangent: bool = False
    ) -> Callable[[_RuleFunction], _RuleFunction]:
        """Register a rule that itself writes its result into its first argument."""

        def register(function: _RuleFunction) -> _RuleFunction:
            for op in ops:
                rule = Rule(function, Kind.RULE, op_name(op), rank, True, plain, is_tangent)
                self._add((op,), rule)
            return function

        return register

    def decomposes(
        self, *ops: Op, rank: int | None = None
    ) -> Callable[[_RuleFunction], _RuleFunction]:
        """Register the decorated definition of ``ops`` in simpler ops, each then frozen."""

        def register(function: _RuleFunction) -> _RuleFunction:
            self._add(ops, Rule(function, Kind.DECOMPOSITION, op_name(ops[0]), rank))
            return function

        return register

    def runs(
        self,
        kind: Kind,
        *ops: Op,
        inplace: tuple[Op, ...] = (),
        rank: int | None = None,
        is_elementwise: bool = False,
    ) -> None:
        """Register ``ops`` to be run as they are, for one of the kinds that run the op."""
        for op in ops:
            rule = Rule(op, kind, op_name(op), rank, is_elementwise=is_elementwise)
            self._add((op,), rule)
        for op in inplace:
            self._add((op,), Rule(op, kind, op_name(op), rank, inplace=True))

    def refuses(self, reason: str, *ops: Op) -> None:
        """Register ``ops`` to raise, with ``reason``, where an argument is active."""
        for op in ops:
            self._add((op,), Rule(op, Kind.REFUSED, op_name(op), reason=reason))

    def leaves(self, reason: str, *ops: Op) -> None:
        """Leave ``ops`` without a rule, for ``reason``: frozen at their tangent, reported."""
        for op in ops:
            self._add((op,), Rule(op, Kind.UNREGISTERED, op_name(op), reason=reason))

    def _add(self, ops: tuple[Op, ...], rule: Rule) -> None:
        if not self._open:
            raise TypeError(
                "This RuleTable is closed because it was made from other tables. "
                "Make a new table with `table | {op: rule}`."
            )
        for op in map(identity, ops):
            if op in self._rules:
                raise DuplicateRuleError(
                    f"The op {op_name(op)} has a rule in this table already: "
                    f"{self._rules[op]}. Register each identity of an op once; to replace "
                    "a rule, use `table | {op: rule}`."
                )
            self._rules[op] = rule


def _rule_of(op: Op, function: Op) -> Rule:
    return Rule(function, name=op_name(op), inplace=is_dispatched(op) and writes(op))


def _carried_over(rule: Rule, spelling: Op, op: Op) -> Rule:
    """The rule of ``spelling`` for ``op``, which runs itself where the rule runs the op."""
    alone = rule.alone and _carried_over(rule.alone, spelling, op)
    function = op if rule.function is spelling else rule.function
    return replace(rule, function=function, alone=alone)


def _written(function: Op) -> Op:
    """The in-place form of an out-of-place rule."""

    def rule(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.copy_(function(copied(input), *args, **kwargs))

    return rule


def op_name(op: Op) -> str:
    """A readable name of an op, without its module: ``relu``, ``add_``, ``max_pool2d``."""
    if is_dispatched(op):
        return dispatched_name(op)
    name = getattr(op, "__name__", None) or getattr(op, "__qualname__", str(op))
    if name in ("__get__", "__set__"):  # a property's getter or setter
        owner = op.__self__  # type: ignore[attr-defined]
        return str(getattr(getattr(owner, "fget", owner), "__name__", owner))
    if name == "fn":  # torch.nn.functional's boolean_dispatch hides the name
        name = (resolve_name(op) or name).rsplit(".", 1)[-1]
    return str(name)
