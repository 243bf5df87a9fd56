"""The record of every constant that enters additively: where, and how to compute it.

F_t = <W_t, x0> + Σ_s <∂G_t/∂y_s, c_s>: an op s whose output is y = A z + c contributes c
times the frozen network's gradient at y. c is the op itself, applied to zeros in place of
its active arguments, with what its rule held handed back. It is computed when the bias is
asked for, not before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from captum_ilin.arguments import Template, mapped, tensors
from captum_ilin.casting import NO_AUTOCAST, Autocast, autocast_now
from captum_ilin.errors import NonFiniteError
from captum_ilin.holding import Tape, recording, replaying
from captum_ilin.location import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captum_ilin.arguments import Arguments
    from captum_ilin.rule import Rule

__all__ = ["Entry", "Ledger"]


@dataclass
class Entry:
    """One call that may add constants: its output edges, and how to compute the constants."""

    site: Site
    edges: list[GradientEdge]
    _constants: Callable[[], list[Tensor]]

    def constants(self) -> list[Tensor]:
        """c for each output edge, shaped like that output."""
        with torch.no_grad():
            return self._constants()

    def terms(self, slopes: Sequence[Tensor | None]) -> list[Tensor]:
        """∂G/∂y ∘ c for each output edge, leaving out constants that are zero throughout."""
        found = []
        for slope, constant in zip(slopes, self.constants(), strict=True):
            if slope is not None and torch.count_nonzero(constant):
                found.append(_product(slope, _reached(constant, slope, self)))
        return found


@dataclass
class Ledger:
    """Entries in the order of the calls."""

    entries: list[Entry] = field(default_factory=list)
    _calls: Counter[Site] = field(default_factory=Counter)

    def run(self, rule: Rule, arguments: Arguments, module: str) -> Any:
        """Run the rule, and note what constant it adds."""
        template = arguments.template(written=rule.inplace)
        write = _Write(arguments) if rule.inplace else None
        with recording() as tape:
            result = rule.function(*arguments.args, **arguments.kwargs)
        if write is None:
            result = _on_its_own(result, arguments)
        replay = _Replay(rule, template, tape, autocast_now())
        if write is None:
            results = tensors(result)
            replay.positions = [i for i, v in enumerate(results) if v.requires_grad]
            outputs = [results[position] for position in replay.positions]
            constants: Callable[[], list[Tensor]] = replay
        else:
            outputs, constants = [write.base], _WriteReplay(write, replay)
        if outputs and outputs[0].requires_grad:
            edges = [get_gradient_edge(output) for output in outputs]
            self.entries.append(Entry(self._site(module, rule.name), edges, constants))
        return result

    def note(
        self, module: str, op: str, value: Tensor, constants: Callable[[], list[Tensor]]
    ) -> None:
        """Note the constant of a value that no op call announced."""
        site = self._site(module, op)
        self.entries.append(Entry(site, [get_gradient_edge(value)], constants))

    def terms(self, output: Tensor, *, create_graph: bool) -> list[tuple[Entry, list[Tensor]]]:
        """Every entry that reaches ``output``, with ∂G/∂y ∘ c for each of its outputs."""
        edges = [edge for entry in self.entries for edge in entry.edges]
        if not edges or not output.requires_grad:
            return []
        with NO_AUTOCAST.restored():
            slopes_of_edges = torch.autograd.grad(
                output, edges, retain_graph=True, create_graph=create_graph, allow_unused=True
            )
        gradients = iter(slopes_of_edges)
        found = []
        for entry in self.entries:
            slopes = [next(gradients) for _ in entry.edges]
            if any(slope is not None for slope in slopes):
                terms = entry.terms(slopes)
                if terms:
                    found.append((entry, terms))
        return found

    def _site(self, module: str, op: str) -> Site:
        site = Site(module, op)
        self._calls[site] += 1
        count = self._calls[site]
        return site if count == 1 else Site(module, f"{op}#{count}")


def _product(slope: Tensor, constant: Tensor) -> Tensor:
    """slope ∘ constant; of complex numbers the real part of conj(slope) ∘ constant."""
    if slope.is_complex():
        return (slope.conj() * constant).real
    return slope * constant


def _reached(constant: Tensor, slope: Tensor, entry: Entry) -> Tensor:
    """``constant``, its infinities (of masks) replaced by 0 where the slope there is 0."""
    infinite = ~torch.isfinite(constant)
    if not infinite.any():
        return constant
    if (infinite & (slope.detach() != 0)).any():
        raise NonFiniteError(
            f"An infinite constant enters at {entry.site} with a slope that is not zero, so "
            "the bias is infinite. Use a large finite number instead."
        )
    return constant.masked_fill(infinite, 0.0)


def _on_its_own(result: Any, arguments: Arguments) -> Any:
    """The result without the memory inside the op that it may be a view of.

    ``F.linear`` of three dimensions returns a view of a matrix of its own. A later write into
    the view would lead the graph past it to that matrix, and past the constant noted here.
    """
    values = tensors(result)
    if not any(value._is_view() for value in values):
        return result
    given = tensors((arguments.args, arguments.kwargs))
    roots = {id(value if value._base is None else value._base) for value in given}

    def released(value: Tensor) -> Tensor:
        inside = value._is_view() and value.requires_grad and id(value._base) not in roots
        return torch.ops.aten._unsafe_view(value, value.shape) if inside else value

    return mapped(result, released)


@dataclass
class _Replay:
    """The rule, applied to zeros with what it held."""

    rule: Rule
    template: Template
    tape: Tape
    autocast: Autocast
    positions: list[int] = field(default_factory=list)

    def __call__(self) -> list[Tensor]:
        args, kwargs = self.template.at_zero()
        results = tensors(self.run(args, kwargs))
        return [results[position] for position in self.positions]

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with replaying(self.tape), self.autocast.restored():
            return self.rule.function(*args, **kwargs)


@dataclass
class _WriteReplay:
    """The same for an op that writes: the constant of all the memory it writes into."""

    write: _Write
    replay: _Replay

    def __call__(self) -> list[Tensor]:
        args, kwargs = self.replay.template.at_zero()
        memory, written = self.write.blank()
        self.replay.run((written, *args[1:]), kwargs)
        return [memory]


class _Write:
    """The memory an in-place op writes to: a tensor, or a view of its base."""

    def __init__(self, arguments: Arguments) -> None:
        target: Tensor = arguments.args[0]
        self.base = target if target._base is None else target._base
        self._part = _Part.of(target, self.base)
        self._before = None if self.base.requires_grad else self.base.detach().clone()

    def blank(self) -> tuple[Tensor, Tensor]:
        """The constant of the memory before the write, and the part that is written."""
        before = self._before
        memory = torch.zeros_like(self.base) if before is None else before.clone()
        return memory, self._part.view(memory)


class _Part(NamedTuple):
    """How a view lies in its base's memory, counted in the view's own numbers.

    A view may take one complex number as two real ones, or two real ones as one complex.
    """

    size: torch.Size
    stride: tuple[int, ...]
    offset: int
    is_complex: bool
    is_conjugate: bool
    is_negative: bool

    @classmethod
    def of(cls, target: Tensor, base: Tensor) -> _Part:
        start = base.storage_offset() * base.element_size() // target.element_size()
        return cls(
            target.size(),
            target.stride(),
            int(target.storage_offset() - start),
            target.is_complex(),
            target.is_conj(),
            target.is_neg(),
        )

    def view(self, memory: Tensor) -> Tensor:
        """The part of ``memory``, laid out as the base is."""
        if self.is_complex and not memory.is_complex():
            memory = torch.view_as_complex(memory.as_strided((memory.numel() // 2, 2), (2, 1)))
        elif memory.is_complex() and not self.is_complex:
            memory = torch.view_as_real(memory)
        part = memory.as_strided(self.size, self.stride, self.offset)
        part = part.conj() if self.is_conjugate else part
        return torch._neg_view(part) if self.is_negative else part
