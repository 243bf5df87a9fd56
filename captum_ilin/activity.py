"""Which tensors are active, and how much of a gate each one is.

A tensor is *active* if its value depends on the explained inputs; parameters and buffers
are constant. ``requires_grad`` alone does not tell: parameters require it too. A frozen run
therefore marks the autograd node of every active value, and the mark carries the value's
gate rank: 2 for outputs of softmax, sigmoid, exp and for scale statistics, 1 for outputs of
other activations, 0 otherwise. The mark lives on the node, not on the tensor, so it follows
in-place writes and dies with the graph.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.autograd.graph import GradientEdge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.autograd.graph import Node

__all__ = ["Activity", "copied", "first_time", "gate_rank", "is_active", "tracking"]


_CONSTANT = -1  # the mark of a node that was looked at and leads to no active value
_FOREIGN = -2  # the mark of a node that no op call announced; its values are frozen one by one

# What a tensor's node becomes when the tensor it is a view of is written to.
_VIEWS = re.compile(
    "(Alias|AsStrided|Conj|Diagonal|Expand|NegView|Permute|Real|ReshapeAlias|Select|Slice|Split|"
    "SplitWithSizes|Squeeze|T|Transpose|Unbind|Unfold|Unsqueeze|View|ViewAsComplex|ViewAsReal)"
    r"Backward\d+"
)


class Activity:
    """The marks of one frozen run.

    ``foreign`` collects values made by code that no op call announced, such as a custom
    ``autograd.Function``.
    """

    def __init__(self) -> None:
        self._key, self._origin = object(), object()
        self.foreign: list[Tensor] = []
        self._adopted: set[tuple[Node, int]] = set()
        self.said: set[str] = set()

    def mark(self, value: Tensor, rank: int = 0) -> None:
        """Mark ``value`` as active."""
        node = value.grad_fn
        if node is not None:
            _marks(node)[self._key] = rank

    def set_origin(self, value: Tensor, origin: Node | None) -> None:
        """Note that ``value`` was made element by element from the value of ``origin``."""
        if value.grad_fn is not None and origin is not None:
            _marks(value.grad_fn)[self._origin] = origin

    def common_origin(self, values: Sequence[Any]) -> Node | None:
        """The one value that all active ``values`` were made from, element by element."""
        origin: Node | None = None
        for value in values:
            if isinstance(value, Tensor) and self.rank(value) is not None:
                found = _marks(value.grad_fn).get(self._origin, value.grad_fn)
                if origin is not None and found is not origin:
                    return None
                origin = found
        return origin

    def mark_written(self, value: Tensor, rank: int = 0) -> None:
        """Mark ``value``, which was written to, and with it the tensor it is a view of."""
        self.mark(value, rank)
        if value._is_view() and value._base is not None:
            base = value._base.grad_fn
            if base is not None and self._key not in _marks(base):
                _marks(base)[self._key] = 0

    def rank(self, value: Tensor) -> int | None:
        """The gate rank of ``value``, or None if it is constant."""
        if not value.requires_grad:
            return None
        node = value.grad_fn
        if node is None:
            return None
        rank = _marks(node).get(self._key)
        if rank == _CONSTANT:
            return None
        if rank == _FOREIGN:
            return self._adopt_output(value, node)
        return self._adopt(value, node) if rank is None else rank

    def _adopt(self, value: Tensor, node: Node) -> int | None:
        """Rank of a value whose node carries no mark: foreign, regenerated, or constant."""
        unmarked, ranks = self._unmarked_ancestors(node)
        if not ranks:
            _marks(node)[self._key] = _CONSTANT
            return None
        # A write gives the base, and the base's other views, new nodes.
        if value._is_view() and all(_VIEWS.fullmatch(found.name()) for found in unmarked):
            self.mark(value, max(min(ranks), 0))
            return max(min(ranks), 0)
        return self._adopt_output(value, node)

    def _adopt_output(self, value: Tensor, node: Node) -> int:
        """Rank of a foreign value: one of several that its node may have made."""
        _marks(node)[self._key] = _FOREIGN
        output = node, value.output_nr
        if output not in self._adopted:
            self._adopted.add(output)
            self.foreign.append(value)
        return 0

    def sources(self, value: Tensor) -> list[GradientEdge]:
        """The marked edges that a foreign value was made from."""
        edges, seen, stack = [], set(), [value.grad_fn]
        while stack:
            node = stack.pop()
            for parent, number in () if node is None else node.next_functions:
                if parent is None or (parent, number) in seen:
                    continue
                seen.add((parent, number))
                if _marks(parent).get(self._key, _CONSTANT) != _CONSTANT:
                    edges.append(GradientEdge(parent, number))
                else:
                    stack.append(parent)
        return edges

    def _unmarked_ancestors(self, node: Node) -> tuple[list[Node], list[int]]:
        """Unmarked nodes between ``node`` and the first marked ones, and the marks of those."""
        ranks, seen, stack = [], {node}, [node]
        while stack:
            for parent, _ in stack.pop().next_functions:
                if parent is None or parent in seen:
                    continue
                rank = _marks(parent).get(self._key, _CONSTANT)
                if rank != _CONSTANT:
                    ranks.append(rank)
                else:
                    seen.add(parent)
                    stack.append(parent)
        return list(seen), ranks


def _marks(node: Any) -> dict[object, Any]:
    """The node's own dict, which autograd keeps for notes like ours."""
    marks: Any = node.metadata  # typed as a method, but a property
    return marks


_current: ContextVar[Activity | None] = ContextVar("captum_ilin_activity", default=None)


@contextmanager
def tracking(activity: Activity) -> Iterator[Activity]:
    """Make ``activity`` the one that `is_active` and `gate_rank` read."""
    token = _current.set(activity)
    try:
        yield activity
    finally:
        _current.reset(token)


def is_active(value: Any) -> bool:
    """Whether ``value`` is a tensor that depends on the explained inputs.

    For use inside a rule. False for everything that is not a tensor.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> def forward(x):
    ...     print(is_active(x), is_active(torch.ones(3)), is_active(2.0))
    ...     return x
    >>> affine_map = linearize(forward, torch.ones(1, 3))
    True False False
    """
    activity = _current.get()
    return (
        activity is not None and isinstance(value, Tensor) and activity.rank(value) is not None
    )


def gate_rank(value: Tensor) -> int:
    """How much of a gate ``value`` is: 2, 1 or 0. For use inside a rule.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> def forward(x):
    ...     print(gate_rank(x), gate_rank(torch.tanh(x)), gate_rank(torch.sigmoid(x)))
    ...     return x
    >>> affine_map = linearize(forward, torch.ones(1, 3))
    0 1 2
    """
    activity = _current.get()
    rank = None if activity is None else activity.rank(value)
    return 0 if rank is None else rank


def copied(value: Tensor) -> Tensor:
    """A clone of ``value``, as active as ``value`` itself. For rules that then overwrite it."""
    copy, activity = value.clone(), _current.get()
    rank = None if activity is None else activity.rank(value)
    if activity is not None and rank is not None:
        activity.mark(copy, rank)
    return copy


def first_time(message: str) -> bool:
    """Whether the current run has not said ``message`` yet; always True outside a run."""
    activity = _current.get()
    if activity is None:
        return True
    known = message in activity.said
    activity.said.add(message)
    return not known
