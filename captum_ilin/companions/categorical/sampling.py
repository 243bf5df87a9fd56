"""Terms by sampling: unbiased, with standard errors.

For a block S of ``order`` positions, every pattern of S is put into the same random background
z ~ p, and the table F(z with z_S = a_S) is decomposed as if it were all of F. Its terms have
the mean F_T, for every T ⊆ S, and vary over z only by the terms that join T to positions
outside S: that the patterns of a table share z, common random numbers, takes the variance of F
itself out of h and J. Each block has ``samples`` independent z of its own, so that a term's
mean over blocks is a mean of independent estimates.
"""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.companions.categorical.enumeration import Found
from captum_ilin.companions.categorical.terms import decomposed
from captum_ilin.companions.categorical.variance import Replicates

if TYPE_CHECKING:
    from tqdm.auto import tqdm

    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.evaluator import Evaluator
    from captum_ilin.companions.categorical.terms import Positions

__all__ = ["LEAST", "evaluations", "sampled"]

LEAST = 4  # samples: the jackknife of a product of two replicates needs as many
REPLICATES = 32  # of all terms, for the variance by order


def evaluations(counts: tuple[int, ...], order: int, samples: int) -> int:
    """How many patterns are run."""
    blocks = combinations(counts, order)
    return samples * sum(reduce(int.__mul__, block, 1) for block in blocks)


def sampled(
    evaluator: Evaluator,
    background: Background,
    order: int,
    samples: int,
    generator: torch.Generator,
    progress: tqdm[None],
) -> Found:
    """Estimates of the terms of up to ``order`` positions."""
    sampler = _Sampler(evaluator, background, samples, generator, progress)
    for positions in combinations(range(len(evaluator.groups)), order):
        sampler.add(positions)
    return sampler.found(order)


class _Term:
    """A term's independent estimates: their sums, and the sums of their replicates."""

    def __init__(self, moments: _Moments) -> None:
        self.mean, self.error, self.replicates = moments.mean, moments.error, moments.replicates
        self.blocks = 1

    def add(self, moments: _Moments) -> None:
        """Another block's estimate."""
        self.mean = self.mean + moments.mean
        self.error = self.error + moments.error
        self.replicates = self.replicates + moments.replicates
        self.blocks += 1


class _Moments:
    """Mean, squared standard error and replicates of a term (q_i, …, sample, outputs).

    Samples come in chunks; their moments are merged (Chan, Golub and LeVeque 1979).
    """

    def __init__(self, samples: int) -> None:
        self.samples, self.seen = samples, 0
        self.mean = self.squares = self.replicates = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """A chunk of samples."""
        count, axis = values.shape[-2], values.dim() - 2
        mean = values.mean(axis)
        squares = (values - mean.unsqueeze(axis)).square().sum(axis)
        if not self.seen:
            shape = (*values.shape[:axis], min(self.samples, REPLICATES), values.shape[-1])
            self.mean, self.squares = torch.zeros_like(mean), torch.zeros_like(squares)
            self.replicates = values.new_zeros(shape)
        off, total = mean - self.mean, self.seen + count
        self.mean = self.mean + off * (count / total)
        self.squares = self.squares + squares + off.square() * (self.seen * count / total)
        numbers = (self.seen + torch.arange(count)) % self.replicates.shape[axis]
        self.replicates.index_add_(axis, numbers, values)
        self.seen = total

    def finish(self) -> _Moments:
        """Sums to means."""
        self.error = self.squares / (self.samples * (self.samples - 1))
        replicates = self.replicates.shape[-2]
        each = torch.bincount(torch.arange(self.samples) % replicates).double()
        self.replicates = self.replicates / each[:, None]
        return self


class _Sampler:
    """Runs blocks and keeps what they say of every term."""

    def __init__(
        self,
        evaluator: Evaluator,
        background: Background,
        samples: int,
        generator: torch.Generator,
        progress: tqdm[None],
    ) -> None:
        self.evaluator, self.background, self.samples = evaluator, background, samples
        self.generator, self.progress = generator, progress
        self.terms: dict[Positions, _Term] = {}
        self.tops: dict[Positions, tuple[Tensor, Tensor]] = {}
        self.products: dict[int, Tensor] = {}
        self.square = torch.zeros(())
        self.shift: Tensor | None = None
        self.evaluations = 0

    def add(self, positions: Positions) -> None:
        """Run one block."""
        found: dict[Positions, _Moments] = {}
        square = _Moments(self.samples)
        weights = self._weights(positions)
        for count in self._chunks(positions):
            table = self._table(positions, count)
            for part, values in decomposed(table, weights):
                key = tuple(positions[axis] for axis in part)
                found.setdefault(key, _Moments(self.samples)).add(values)
            square.add(dict(decomposed(table.square(), weights, 0))[()])
        self.square = self.square + square.finish().replicates
        for key, moments in found.items():
            self._keep(key, moments.finish(), is_top=len(key) == len(positions))

    def _keep(self, key: Positions, moments: _Moments, *, is_top: bool) -> None:
        """A top term is of one block only: its replicates are not kept, which are many."""
        if is_top and key:
            self.tops[key] = (moments.mean, moments.error)
            self._multiply(key, moments.replicates)
        elif key in self.terms:
            self.terms[key].add(moments)
        else:
            self.terms[key] = _Term(moments)

    def _multiply(self, key: Positions, replicates: Tensor) -> None:
        """Add a term's inner products between replicates to those of its order."""
        weight = torch.ones(1, dtype=torch.float64)
        for each in self._weights(key):
            weight = torch.outer(weight, each).flatten()
        flat = replicates.reshape(len(weight), *replicates.shape[-2:]).permute(2, 1, 0)
        found = ((flat * weight) @ flat.mT).permute(1, 2, 0)
        self.products[len(key)] = self.products.get(len(key), torch.zeros(())) + found

    def _weights(self, positions: Positions) -> list[Tensor]:
        return [self.background.probabilities[i] for i in positions]

    def _chunks(self, positions: Positions) -> list[int]:
        """How many z at a time: as many as fill a batch."""
        size = reduce(int.__mul__, (self.evaluator.groups.counts[i] for i in positions), 1)
        most = max(1, self.evaluator.batch_size // size)
        return [len(part) for part in torch.arange(self.samples).split(most)]

    def _table(self, positions: Positions, count: int) -> Tensor:
        """F(z with z_S = a_S), (q_i for i in S, …, count, outputs), less a constant."""
        counts = [self.evaluator.groups.counts[i] for i in positions]
        grids = torch.meshgrid(*map(torch.arange, counts), indexing="ij") if counts else ()
        drawn = self.background.draw(count, self.generator)
        size = reduce(int.__mul__, counts, 1)
        codes = drawn.repeat(size, 1).reshape(size, count, -1)
        for i, grid in zip(positions, grids, strict=True):
            codes[:, :, i] = grid.reshape(-1, 1)
        values = self.evaluator(codes.flatten(0, 1)).reshape(size * count, -1)
        self.progress.update(len(values))
        self.evaluations += len(values)
        if self.shift is None:  # so that squares lose no digits to a large mean
            self.shift = values.mean(0)
        return (values - self.shift).reshape(*counts, count, -1)

    def found(self, order: int) -> Found:
        """What all blocks say."""
        assert self.shift is not None
        terms = {key: term.mean / term.blocks for key, term in self.terms.items()}
        errors = {key: term.error.sqrt() / term.blocks for key, term in self.terms.items()}
        for key, term in self.terms.items():
            if key:
                self._multiply(key, term.replicates / term.blocks)
        replicates = Replicates(
            self.terms[()].replicates / self.terms[()].blocks,
            self.square / self.terms[()].blocks,
            dict(sorted(self.products.items())),
        )
        terms[()] = terms[()] + self.shift
        terms |= {key: mean for key, (mean, _) in self.tops.items()}
        errors |= {key: error.sqrt() for key, (_, error) in self.tops.items()}
        in_order = sorted(terms, key=lambda key: (len(key), key))
        return Found(
            {key: terms[key] for key in in_order},
            {key: errors[key] for key in in_order},
            replicates.variance(),
            self.evaluations,
        )
