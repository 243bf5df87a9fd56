"""``RuleTable``: which op is frozen how.

A table maps ops, by identity, to rules. Tables are values: ``|`` makes a new one, in which the
right-hand side wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, ValuesView
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from captum_ilin.activity import copied
from captum_ilin.dispatched import identity, is_dispatched, spelled, writes
from captum_ilin.errors import DuplicateRuleError, RuleTypeError
from captum_ilin.rule import Kind, Op, Rule, op_name

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.rule import Rank

__all__ = ["RuleTable", "check_between", "check_rules", "written_form"]

_RuleFunction = TypeVar("_RuleFunction", bound=Op)


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
            identity(_checked(op)): rule if isinstance(rule, Rule) else _rule_of(op, rule)
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
        packet: Any = getattr(op, "overloadpacket", None)
        rule = self._rules.get(op) or self._rules.get(packet)
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

    def values(self) -> ValuesView[Rule]:
        """Every rule; faster than looking up each op."""
        return self._rules.values()

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
        scale_rank: Rank = 0,
        is_tangent: bool = False,
        mixes: bool = False,
        affine_in_first: bool = False,
        alone: Op | None = None,
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
            scale_rank (optional): what stands for ``rank`` where scale statistics are the
                only gates, see `Rule`. Default: 0
            is_tangent (bool, optional): the rule's slope is the op's own Jacobian, so
                ``TANGENT_RULES`` keeps it. Default: False
            mixes (bool, optional): the op sums features with weights, as a linear layer
                does, which ends the gate rank of an activation. Default: False
            affine_in_first (bool, optional): where the first argument alone is active, the
                op runs as it is. Default: False
            alone (optional): what runs there instead, of the op's own value, which spells
                out its slope: see `Slope`. Default: None, the op.
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
                scale_rank=scale_rank,
                plain=ops[0],
                is_tangent=is_tangent,
                mixes=mixes,
                is_elementwise=is_elementwise,
            )
            for op in ops:
                if affine_in_first or alone is not None:
                    affine = replace(rule, function=alone or op, kind=Kind.AFFINE)
                    self._add((op,), replace(rule, alone=affine))
                else:
                    self._add((op,), rule)
            if inplace:
                register_write = self.writes(
                    *inplace,
                    plain=ops[0],
                    rank=rank,
                    scale_rank=scale_rank,
                    is_tangent=is_tangent,
                )
                register_write(written_form(function))
            return function

        return register

    def writes(
        self,
        *ops: Op,
        plain: Op,
        rank: Rank = None,
        scale_rank: Rank = 0,
        is_tangent: bool = False,
    ) -> Callable[[_RuleFunction], _RuleFunction]:
        """Register a rule that itself writes its result into its first argument."""

        def register(function: _RuleFunction) -> _RuleFunction:
            for op in ops:
                rule = Rule(function, Kind.RULE, op_name(op), rank, True, plain, is_tangent)
                self._add((op,), replace(rule, scale_rank=scale_rank))
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
        is_piecewise: bool = False,
    ) -> None:
        """Register ``ops`` to be run as they are, for one of the kinds that run the op."""
        for op in ops:
            rule = Rule(op, kind, op_name(op), rank, is_elementwise=is_elementwise)
            self._add((op,), replace(rule, is_piecewise=is_piecewise))
        for op in inplace:
            rule = Rule(op, kind, op_name(op), rank, inplace=True, is_piecewise=is_piecewise)
            self._add((op,), rule)

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
        for op in map(identity, map(_checked, ops)):
            if op in self._rules:
                raise DuplicateRuleError(
                    f"The op {op_name(op)} has a rule in this table already: "
                    f"{self._rules[op]}. Register each identity of an op once; to replace "
                    "a rule, use `table | {op: rule}`."
                )
            self._rules[op] = rule


def check_rules(rules: Any) -> None:
    """A table, not the entries alone."""
    if not isinstance(rules, RuleTable):
        raise RuleTypeError(
            f"rules has type {type(rules).__name__}; expected a RuleTable, because every op "
            "that it leaves out has no rule. Pass `DEFAULT_RULES | {op: rule}`."
        )


def check_between(rules: Any) -> None:
    """A table whose rules lie between two points: none takes the piece that is active at x."""
    check_rules(rules)
    if any(rule.is_piecewise for rule in rules.values()):
        raise RuleTypeError(
            f"{rules!r} freezes at one operating point, so that F(x) − F(x') would not add up "
            "between two. With baselines, pass `REFERENCE_RULES | {op: rule}`, or leave rules "
            "out."
        )


def _checked(op: Op) -> Op:
    """``op``, if a run can see it called."""
    owner = getattr(op, "__self__", op)
    kind = owner if isinstance(owner, type) else type(owner)
    if issubclass(kind, nn.Module):
        raise RuleTypeError(
            f"The rule for {kind.__name__} would never be used, because it is a module, and a "
            "run sees the functions that its forward calls. Register those, such as "
            "torch.nn.functional.relu for nn.ReLU."
        )
    if issubclass(kind, torch.autograd.Function):
        raise RuleTypeError(
            f"The rule for {kind.__name__} would never be used, because no op call announces a "
            "custom autograd.Function. Write it in torch ops, or as a torch.library.custom_op "
            "and register that."
        )
    if not callable(op):
        raise RuleTypeError(
            f"A rule was given for {op!r}; expected an op, the function itself, such as "
            "torch.sinc or torch.ops.mine.swiglu."
        )
    return op


def _rule_of(op: Op, function: Op) -> Rule:
    if not callable(function):
        raise RuleTypeError(
            f"The rule for {op_name(op)} has type {type(function).__name__}; expected a "
            "function with the op's own signature."
        )
    return Rule(function, name=op_name(op), inplace=is_dispatched(op) and writes(op))


def _carried_over(rule: Rule, spelling: Op, op: Op) -> Rule:
    """The rule of ``spelling`` for ``op``, which runs itself where the rule runs the op."""
    alone = rule.alone and _carried_over(rule.alone, spelling, op)
    function = op if rule.function is spelling else rule.function
    return replace(rule, function=function, alone=alone)


def written_form(function: Op) -> Op:
    """The in-place form of an out-of-place rule."""

    def rule(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.copy_(function(copied(input), *args, **kwargs))

    return rule
