"""``Rule``: how one op is frozen.

A rule is a function with the op's own signature that returns the op's value and is affine in
its active arguments: y = D z + c, with D and c as they are at the operating point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch.overrides import resolve_name

from captum_ilin.dispatched import dispatched_name, is_dispatched

__all__ = ["Kind", "Op", "Rank", "Rule", "op_name", "plain_name"]

Op = Callable[..., Any]
Rank = int | Callable[..., int | None] | None


class Kind(Enum):
    """What freezing does with an op that has an active argument.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES
    >>> DEFAULT_RULES[torch.flatten].kind.name, DEFAULT_RULES[torch.sigmoid].kind.name
    ('LINEAR', 'RULE')
    """

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
        scale_rank: what stands for a given ``rank`` in tables in which scale statistics are
            the only gates: 2 for norms, deviations and roots, None for reciprocals, which
            pass on the rank of what they invert, 0 for all others.
        inplace: the op writes its result into its first argument.
        mixes: the op sums features with weights, so that what an activation gated is a new
            feature afterwards: rank 1 becomes 0, while rank 2, a pattern, stays.
        is_elementwise: each element of the result comes from the same element of the active
            arguments. A product of factors that were all made from one value so is an
            activation written out, z · φ(z)/z, and has the rank of one.
        alone: the rule for a call whose first argument is the only active one: the op is
            affine in it, and runs as it is.
        alone_where: which of those calls ``alone`` is for, told from the arguments; None is
            all. An op that is defined by simpler ones may be affine for some options.
        varying: between two points, the rule for a call whose constants are others at the
            baseline, because they were made from active values.
        plain: the out-of-place op with the same value.
        is_tangent: the rule's slope is the op's own Jacobian.
        is_piecewise: the op runs as it is, and its own slope changes from piece to piece.
        reason: why the op is refused, or left without a rule.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES
    >>> rule = DEFAULT_RULES[torch.sigmoid]
    >>> rule.name, rule.rank, rule.is_tangent
    ('sigmoid', 2, True)
    """

    function: Op
    kind: Kind = Kind.RULE
    name: str = ""
    rank: Rank = None
    inplace: bool = False
    plain: Op | None = None
    is_tangent: bool = False
    is_piecewise: bool = False
    mixes: bool = False
    is_elementwise: bool = False
    alone: Rule | None = None
    alone_where: Callable[..., bool] | None = None
    varying: Op | None = None
    reason: str = ""
    scale_rank: Rank = 0

    def rank_of_result(
        self, ranks: list[int], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> int:
        """Gate rank of the result, from those of the active arguments; ask before a write."""
        rank = self.rank(*args, **kwargs) if callable(self.rank) else self.rank
        if rank is not None:
            return rank
        lowest = min(ranks)
        return 0 if self.mixes and lowest == 1 else lowest


def op_name(op: Op) -> str:
    """A readable name of an op, without its module: ``relu``, ``add_``, ``max_pool2d``."""
    if is_dispatched(op):
        return dispatched_name(op)
    name = getattr(op, "__name__", None) or getattr(op, "__qualname__", str(op))
    if name in ("__get__", "__set__"):  # a property's getter or setter
        owner = getattr(op, "__self__", op)
        return str(getattr(getattr(owner, "fget", owner), "__name__", owner))
    if name == "fn":  # torch.nn.functional's boolean_dispatch hides the name
        name = (resolve_name(op) or name).rsplit(".", 1)[-1]
    return str(name)


def plain_name(op: Op) -> str:
    """The op's name without the underscore that says that it writes: ``add`` of ``add_``."""
    name = op_name(op)
    return name if name.endswith("__") else name.removesuffix("_")
