"""``Freezing``: the mode that sees every torch call and decides how it is treated.

An op without an active argument is constant. With one, its rule decides: run it (it is
constant, linear or affine by itself), run the rule, or run its definition in simpler ops.
An op without a rule is frozen at its tangent, still exact, and reported.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_ilin.activity import Activity, tracking
from captum_ilin.arguments import Arguments, tensors
from captum_ilin.casting import NO_AUTOCAST, autocast_now
from captum_ilin.dispatched import first_name, writes_unseen
from captum_ilin.errors import RefusedOpError, refused
from captum_ilin.foreign import ForeignValues
from captum_ilin.hidden import HiddenWrites
from captum_ilin.holding import is_replaying
from captum_ilin.location import Locator, Site
from captum_ilin.modes import gradients_on, running_eagerly
from captum_ilin.reports import Reports
from captum_ilin.rule import Kind, Op, Rule, op_name
from captum_ilin.ruletable import check_rules
from captum_ilin.saving import has_hooks, is_checkpointing, saving_as_it_is
from captum_ilin.tangent import tangent, written_tangent
from captum_ilin.transforms import CANNOT_FOLLOW, is_transforming, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.autograd.graph import Node

    from captum_ilin.ledger import Ledger
    from captum_ilin.ruletable import RuleTable

__all__ = ["Freezing", "rule_of_call"]

# False inside DisableTorchFunctionSubclass, of which only PyTorch's own bindings tell.
_subclasses_are_on = torch._C._is_torch_function_enabled
_of_tensor: Any = Tensor.__torch_function__  # typed without the __func__ that it has
_WITHOUT_RULE = (Kind.UNREGISTERED, Kind.REFUSED)


class Freezing(TorchFunctionMode):
    """Freeze every op called inside ``run``.

    Args:
        rules: how each op is frozen.
        strict: raise at an op without a rule instead of taking its tangent.
        ledger: where the constants that enter are noted; None notes none.

    Attributes:
        order: how many ops with an active argument were treated so far; the number of the
            current one.
        reports: which ops no rule covers, where they were called, and how often.
        dtypes: what active values were computed in.
        autocast: the caller's, as it was when the run began.
    """

    def __init__(
        self, rules: RuleTable, *, strict: bool = False, ledger: Ledger | None = None
    ) -> None:
        super().__init__()
        check_rules(rules)
        self.rules = rules
        self.ledger = ledger
        self.activity = Activity()
        self.order = 0
        self.reports = Reports(strict)
        self.dtypes: set[torch.dtype] = set()
        self.autocast = NO_AUTOCAST
        self._foreign = ForeignValues()
        self._hidden = HiddenWrites()
        self._locator = Locator()

    def again(self, ledger: Ledger | None = None) -> Freezing:
        """Another run of the same kind."""
        return Freezing(self.rules, ledger=ledger)

    def beside_the_function(self) -> AbstractContextManager[None]:
        """Ops inside are treated, but are none of the forward function's own."""
        return nullcontext()

    @contextmanager
    def run(self) -> Iterator[Freezing]:
        """Freeze what is called inside, with gradients on."""
        self.autocast = autocast_now()
        with running_eagerly(), tracking(self.activity), gradients_on(), self:
            yield self

    def enter(self, value: Tensor) -> Tensor:
        """An active copy of an input, for the model to use as it likes."""
        with gradients_on():
            copy = value.clone()
        self.activity.mark(copy)
        return copy

    def finish(self, outputs: Any) -> Any:
        """The outputs, those frozen that no op call has seen, and constants without a graph.

        A constant output may require gradients, because of the parameters it was made from.
        """
        active = [v for v in tensors(outputs) if self.activity.rank(v) is not None]
        if self._hidden.written:
            self._hidden.check(active)
        self._freeze_foreign()
        return self._finished(outputs) if isinstance(outputs, Tensor) else outputs

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if types and _subclasses_are_on():
            result = self._run_as_defined(func, types, args, kwargs)
            if result is not NotImplemented:
                return result
        if has_hooks():
            return self._treat_without_hooks(func, args, kwargs)
        return self._treat(func, args, kwargs)

    def _treat_without_hooks(
        self, func: Op, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Keep what is saved for backward, where a checkpoint would compute it again."""
        self._foreign.is_recomputed = is_checkpointing()
        try:
            with saving_as_it_is():
                return self._treat(func, args, kwargs)
        finally:
            self._foreign.is_recomputed = False

    def _run_as_defined(
        self, func: Op, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run what subclasses of Tensor define for the op, each op in that frozen."""
        for kind in types:
            defined = getattr(kind.__torch_function__, "__func__", None)
            if defined is not _of_tensor.__func__:
                with self:
                    result = kind.__torch_function__(func, types, args, kwargs)
                if result is not NotImplemented:
                    return result
        return NotImplemented

    def _treat(self, func: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rule = self.rules.find(func)
        if rule is not None and rule.kind is Kind.INERT:
            if not torch.is_grad_enabled():
                self._foreign.note_used(Arguments(self.activity, args, kwargs).active())
            return func(*args, **kwargs)
        if kwargs.get("out") is not None:
            return self._write_out(func, args, kwargs)
        if not args and _writes(func, rule):
            args, kwargs = _with_target_first(func, kwargs)
        arguments = Arguments(self.activity, args, kwargs)
        self._replace_foreign(rule, arguments)
        if is_transforming():
            self._check_transforms(func, arguments)
        if not arguments.ranks:
            if rule is not None and rule.inplace and self._hidden.is_reachable(args[0]):
                self._hidden.note_write(args[0], self._site(rule.name))
            return func(*args, **kwargs)
        if self._hidden.written and torch.is_grad_enabled():  # else the result is constant
            self._hidden.check(arguments.active())
        written = rule is not None and rule.inplace
        if arguments.inference:
            arguments.without_inference(written=written)
        if torch.is_inference_mode_enabled() and not written:
            return func(*arguments.args, **arguments.kwargs)
        return self._treat_active(func, rule, arguments)

    def _replace_foreign(self, rule: Rule | None, arguments: Arguments) -> None:
        """Freeze values that no op call announced, and take their tangents from now on."""
        if self.activity.foreign:
            self._freeze_foreign()
        if arguments.ranks and not torch.is_grad_enabled():
            self._foreign.note_used(arguments.active())
        if self._foreign.tangents and not (rule is not None and rule.inplace):
            arguments.replace(self._foreign.stand_in)

    def _treat_active(self, func: Op, rule: Rule | None, arguments: Arguments) -> Any:
        if rule is not None and rule.kind is Kind.DECOMPOSITION:
            alone = rule_of_call(rule, arguments)
            if alone is rule:
                return self._decompose(rule, arguments)
            rule = alone
        self.order += 1
        if rule is None or rule.kind in _WITHOUT_RULE:
            if not torch.is_grad_enabled():  # constant, whatever the op
                return func(*arguments.args, **arguments.kwargs)
            rule = self._without_rule(func, rule, arguments)
        elif rule.kind is Kind.CONSTANT:
            args, kwargs = arguments.detached()
            result = func(*args, **kwargs)
            self._hidden.note_aliases(result, arguments.first)
            return result
        if rule.inplace and not torch.is_grad_enabled():
            self._hidden.note_write(arguments.args[0], self._site(rule.name))
            self._foreign.keep_from(arguments.args[0])
            return func(*arguments.args, **arguments.kwargs)
        return self._freeze(func, rule, arguments)

    def _without_rule(self, func: Op, rule: Rule | None, arguments: Arguments) -> Rule:
        """What is done with an op that has no rule, on purpose or not, or is refused."""
        if rule is not None and rule.kind is Kind.REFUSED:
            raise self._refusal(rule.name, rule.reason)
        if rule is not None and rule_of_call(rule, arguments) is not rule:
            return rule
        return self._tangent_of(func)

    def _check_transforms(self, func: Op, arguments: Arguments) -> None:
        """Inside vmap, grad, vjp or jvp, values are wrapped, and marks do not reach them."""
        values = tensors((arguments.args, arguments.kwargs))
        if any(self.activity.rank(unwrapped(value)) is not None for value in values):
            raise self._refusal(op_name(func), CANNOT_FOLLOW)

    def _write_out(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``out=``, which autograd refuses: the op's result, written there."""
        outputs = kwargs["out"]
        with self:
            results = op(*args, **{name: kwargs[name] for name in kwargs if name != "out"})
            for output, result in zip(tensors(outputs), tensors(results), strict=True):
                if output.numel() == 0:
                    output.resize_(result.shape)
                output.copy_(result)
        return outputs

    def _decompose(self, rule: Rule, arguments: Arguments) -> Any:
        with self:
            result = rule.function(*arguments.args, **arguments.kwargs)
        if isinstance(rule.rank, int):
            self._mark(result, rule.rank)
        return result

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        """Run the rule, note the constant it adds, and mark its result as active."""
        rule = rule_of_call(rule, arguments)
        rank, origin = self._ranked(rule, arguments)
        constant = rule.kind is Kind.LINEAR or not torch.is_grad_enabled()
        quiet = constant and not rule.inplace
        if self.ledger is None or quiet:
            result = rule.function(*arguments.args, **arguments.kwargs)
        else:
            result = self.ledger.run(rule, arguments, self._locator.path())
        if rule.inplace or result is arguments.first:
            self.activity.mark_written(arguments.args[0], rank)
        else:
            self._mark(result, rank)
            if origin is not None:
                self.activity.set_origin(result, origin)
        if not torch.is_grad_enabled():
            self._hidden.note_aliases(result, arguments.first)
        return result

    def _ranked(self, rule: Rule, arguments: Arguments) -> tuple[int, Node | None]:
        """Gate rank of the result, and the one value it is made from element by element."""
        rank = rule.rank_of_result(arguments.ranks, arguments.args, arguments.kwargs)
        if not rule.is_elementwise:
            return rank, None
        values = (*arguments.args, *arguments.kwargs.values())
        origin = self.activity.common_origin(values)
        if origin is not None and rule.kind is Kind.RULE:
            rank = max(rank, min(1, max(arguments.ranks)))  # z · φ(z)/z, written out
        return rank, origin

    def _mark(self, result: Any, rank: int) -> None:
        if isinstance(result, Tensor):
            self.activity.mark(result, rank)
            self.dtypes.add(result.dtype)
        else:
            for value in tensors(result):
                self._mark(value, rank)

    def _finished(self, output: Tensor) -> Tensor:
        output = self._foreign.stand_in(output)
        return output.detach() if self.activity.rank(output) is None else output

    def _tangent_of(self, op: Op) -> Rule:
        """The rule of an op without one: its tangent, and a report."""
        name, writes = op_name(op), _writes(op, None)
        if writes_unseen(op):
            raise self._refusal(name, _WRITES_UNSEEN)

        take = self._affine_piece(op, writes=writes)

        def rule(*args: Any, **kwargs: Any) -> Any:
            result = take(*args, **kwargs)
            if not is_replaying():
                self._report(name, [v for v in tensors(result) if _has_slope(v)])
            return result

        return Rule(rule, Kind.RULE, name, inplace=writes)

    def _affine_piece(self, op: Op, *, writes: bool) -> Op:
        return partial(written_tangent if writes else tangent, op)

    def _report(self, name: str, values: list[Tensor]) -> None:
        if any(value.requires_grad for value in values) or not torch.is_grad_enabled():
            self.reports.note_unregistered(self._site(name))
        elif values:
            self.reports.note_held(self._site(name))

    def _freeze_foreign(self) -> None:
        """Replace values that no op call announced by their tangents, and report them."""
        for value in self.activity.foreign:
            if self._foreign.passes_by(value):
                continue
            name = "" if value.grad_fn is None else value.grad_fn.name()
            self.reports.note_unregistered(self._site(name), is_function=True)
            tangent, graph = self._foreign.freeze(value, self.activity.sources(value))
            self.activity.mark(tangent)
            if self.ledger is not None:
                self.ledger.note(self._locator.path(), name, tangent, graph.constants)
        self.activity.foreign.clear()

    def _site(self, name: str) -> Site:
        return Site(self._locator.path(), name)

    def _refusal(self, name: str, reason: str) -> RefusedOpError:
        return RefusedOpError(refused(self._site(name), reason))


def rule_of_call(rule: Rule, arguments: Arguments) -> Rule:
    """``rule``, or the one that it has for calls like this, in its first argument alone."""
    if rule.alone is None or not arguments.only_first:
        return rule
    where = rule.alone_where
    is_meant = where is None or where(*arguments.args, **arguments.kwargs)
    return rule.alone if is_meant else rule


_WRITES_UNSEEN = "it writes into its arguments, where autograd does not follow it"


def _writes(op: Op, rule: Rule | None) -> bool:
    """Whether an op writes into its first argument: PyTorch ends its name in one underscore."""
    if rule is not None and rule.inplace:
        return True
    name = op_name(op)
    return name.endswith("_") and not name.endswith("__")


def _with_target_first(op: Op, named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments that are all named, as in ``torch.relu_(input=z)``, the target by place."""
    target = next((name for name in (first_name(op), "input", "self") if name in named), None)
    if target is None:
        return (), named
    return (named[target],), {name: named[name] for name in named if name != target}


def _has_slope(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()
