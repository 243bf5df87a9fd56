"""``Operator``: the weight W as a linear operator, applied without being written out.

u W, what a combination u of outputs owes to each input feature, is one backward pass. It is
linear in u, so W v, what a change v of the input does to each output, is its derivative with
respect to u along v: the backward pass is recorded once, and passed through for each v.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.casting import NO_AUTOCAST
from captum_ilin.errors import saying_what_has_no_derivative
from captum_ilin.modes import gradients_on
from captum_ilin.norms import Norms, norms
from captum_ilin.part import part_of
from captum_ilin.scipyoperator import scipy_operator
from captum_ilin.singular import Singular, singular
from captum_ilin.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scipy.sparse.linalg import LinearOperator

    Vector = tuple[Tensor, ...]

__all__ = ["Operator", "operator_between", "operator_of"]


@dataclass(frozen=True, repr=False)
class Operator:
    """W of an ``AffineMap``, for products. Made by ``AffineMap.operator``.

    Vectors keep the shapes of inputs and outputs, batch included: ``v`` is shaped like the
    inputs, (batch, \\*features), a tuple where these are; ``u`` like the outputs, (batch,
    \\*out). Dimensions in front count vectors.

    =============  ==================================================================
    ``W @ v``      Σ_i W_oi v_i: what the change v of the input does to each output
    ``u @ W``      Σ_o u_o W_oi: the row of W for the combination u of outputs
    ``W.T``        the transpose: ``W.T @ u`` is ``u @ W``
    =============  ==================================================================

    The two agree: <u, W v> = <u W, v> to rounding.

    Raises:
        OperandError: an operand is not shaped like the inputs or the outputs.

    Cost: ``u @ W`` is one backward pass. ``W @ v`` is the derivative of a recorded backward
    pass, about a forward pass. The first also records: about as much memory again as the map's
    graph, kept with the operator.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).double()
    >>> x = torch.randn(1, 3, dtype=torch.float64)
    >>> affine_map = linearize(model, x)
    >>> W = affine_map.operator()
    >>> W
    Operator(inputs (1, 3) -> outputs (1, 4))
    >>> torch.allclose(W @ x + affine_map.bias(), model(x))
    True
    >>> u = torch.eye(4, dtype=torch.float64)[:, None]  # four vectors of shape (1, 4)
    >>> torch.allclose((u @ W)[:, 0], affine_map.weight()[0])
    True
    """

    domain: Space
    codomain: Space
    _apply: Callable[[Vector], Vector]
    _apply_transposed: Callable[[Vector], Vector]

    def __repr__(self) -> str:
        return f"Operator({self.domain} -> {self.codomain})"

    @property
    def T(self) -> Operator:  # noqa: N802  # PyTorch's own name
        """The transpose, from outputs to inputs."""
        return Operator(self.codomain, self.domain, self._apply_transposed, self._apply)

    @gradients_on()
    def __matmul__(self, vectors: Any) -> Tensor | tuple[Tensor, ...]:
        count, each = self.domain.split(vectors)
        return self.codomain.join(count, [self._apply(vector) for vector in each])

    def __rmatmul__(self, vectors: Any) -> Tensor | tuple[Tensor, ...]:
        return self.T @ vectors

    def part(self, *, features: Any = None, outputs: Any = None) -> Operator:
        """The block of W between some of the features and some of the outputs.

        For the embeddings of a text, (batch, tokens, width), ``features=position`` is the
        block of one token; for an image ``features=(0, slice(8), slice(8))`` that of a corner.

        Args:
            features (optional): which of the numbers it takes, as an index into one example:
                an int, a slice, a list of ints or a tuple of these. Of several inputs a dict
                says which: ``{1: slice(3)}``. Default: None, all.
            outputs (optional): which of the numbers it gives, likewise.

        Returns:
            Operator: its vectors have the shapes that indexing gives, batch included. Of
            ``W.T`` features are outputs of W; ``W.part(...).T`` is the plainer spelling.

        Raises:
            PartError: no index into an example, or one that chooses nothing.

        Cost: none. A product costs what one with W does.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> embeddings = torch.randn(1, 5, 8)  # (batch, tokens, width)
        >>> W = linearize(lambda x: x.cumsum(1)[:, -1].softmax(-1), embeddings).operator()
        >>> block = W.part(features=2)
        >>> block
        Operator(part of the inputs (1, 8) -> outputs (1, 8))
        >>> torch.equal(torch.ones(1, 8) @ block, (torch.ones(1, 8) @ W)[:, 2])
        True
        """
        return part_of(self, features, outputs)

    def svd(self, k: int) -> Singular:
        """The first k singular values of each example's W, and their vectors.

        W v_i = s_i u_i: v_1 is the direction of the input, of norm 1, that moves the outputs
        most. Each example's own block of W is taken, so an example's outputs must not depend
        on other examples.

        Args:
            k: how many, from 1 to the smaller of the numbers of features and of outputs.

        Returns:
            Singular: U (k, batch, \\*out), S (k, batch), V (k, batch, \\*features).

        Raises:
            RankError: the map has no k singular values.
            NotOfferedError: half precision, or examples that are not told apart.

        Cost: k + 4 vectors for each step, a product each way, until |Wᵀu − s v| ≤ 1e3 units of
        rounding of s_1; at most all outputs' vectors, which are kept. One step where k + 4
        reaches the number of outputs.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU()).double()
        >>> W = linearize(model, torch.randn(2, 8, dtype=torch.float64)).operator()
        >>> U, S, V = W.svd(2)
        >>> torch.allclose(W @ V, S[:, :, None] * U)
        True
        """
        return singular(self, k)

    def row_norms(
        self, *, progress: Callable[[int, int], object] | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """How far each output can move: the l2 norm of its row of W, in each example.

        No change of the input of norm ε moves output o by more than ε times its norm, and one
        moves it by that much. W is never held: of each row its squares are added up.

        Args:
            progress (optional): called after each row or column, as ``progress(done, of_all)``.

        Returns:
            (batch, \\*out), a tuple where W gives one, exact but for rounding. Added up in
            float64 and rounded once to W's dtype: only in float64 itself do squares overflow,
            of numbers beyond 1e154; in float16 a norm beyond 65504 is infinite.

        Raises:
            NotOfferedError: examples that are not told apart, or complex outputs.

        Cost: as many products as an example has outputs, or features if these are fewer, for
        row and column norms together, which are kept; and 2 log2(batch) to see that examples
        do not depend on each other.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(3, 2)
        >>> W = linearize(layer, torch.ones(1, 3)).operator()
        >>> torch.allclose(W.row_norms()[0], layer.weight.norm(dim=1))
        True
        """
        return self.codomain.own(self._norms(progress).rows)

    def column_norms(
        self, *, progress: Callable[[int, int], object] | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """How far each input feature moves the outputs: the l2 norm of its column of W.

        A change ε of feature i alone moves the outputs by ε times its norm. The row norms of
        ``W.T``.

        Args:
            progress (optional): as in ``row_norms``.

        Returns:
            (batch, \\*features), a tuple for a tuple of inputs, exact and rounded as in
            ``row_norms``.

        Raises:
            NotOfferedError: examples that are not told apart, or complex outputs.

        Cost: that of ``row_norms``, once for both.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(3, 2)
        >>> W = linearize(layer, torch.ones(1, 3)).operator()
        >>> torch.allclose(W.column_norms()[0], layer.weight.norm(dim=0))
        True
        """
        return self.domain.own(self._norms(progress).columns)

    def to_scipy(self, *, row: int | None = None) -> LinearOperator:
        """W as a ``scipy.sparse.linalg.LinearOperator``, for SciPy's solvers.

        Vectors are flat arrays: all inputs one after another, each flattened with its batch,
        and the outputs, flattened. Products are ``@``, ``matvec``, ``rmatvec``, ``matmat`` and
        ``rmatmat``; vectors are copied to W's device and results back.

        Args:
            row (optional): one example, of whose features and outputs the block is given.
                Default: None, the whole batch, with other examples' blocks zero.

        Returns:
            LinearOperator: (numbers of the outputs, numbers of the inputs), of W's dtype, the
            wider where inputs differ. Vectors are converted to it; wrong shapes are SciPy's
            errors.

        Raises:
            ScipyPackageError: SciPy is not installed.
            NotOfferedError: W is not in float32 or float64, or a row is asked for where the
                first dimension is not the batch.
            TargetRangeError: the batch has no such row.

        Cost: none. A vector costs a product with W, of the whole batch also for one row; a
        complex one costs two.

        >>> import torch
        >>> from scipy.sparse.linalg import svds
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(8, 6).double()
        >>> W = linearize(layer, torch.randn(1, 8, dtype=torch.float64)).operator()
        >>> (largest,) = svds(W.to_scipy(), k=1, return_singular_vectors=False)
        >>> S = torch.linalg.svdvals(layer.weight.detach())
        >>> abs(float(largest) - float(S[0])) < 1e-12
        True
        """
        return scipy_operator(self, row)

    @gradients_on()
    def _norms(self, progress: Callable[[int, int], object] | None) -> Norms:
        if not self._found:
            self._found.append(norms(self, progress))
        return self._found[0]

    @cached_property
    def _found(self) -> list[Norms]:
        """The norms, once they were asked for."""
        return []


def operator_of(outputs: Tensor, leaves: tuple[Tensor, ...], *, is_tuple: bool) -> Operator:
    """The operator ∂outputs/∂leaves of a graph that is linear in the leaves."""
    return operator_between(
        Space("inputs", tuple(leaf.detach() for leaf in leaves), is_tuple),
        leaves,
        Space("outputs", (outputs.detach(),)),
        (outputs,),
    )


def operator_between(
    domain: Space,
    sources: tuple[Tensor, ...],
    codomain: Space,
    results: tuple[Tensor, ...],
    passing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Operator:
    """The operator ∂results/∂sources of a graph that is linear in the sources.

    Args:
        domain, codomain: where its vectors live, for ``sources`` and ``results`` in turn.
        passing: a context in which the graph is passed through, which may close some ways.
    """
    graph = _Graph(results, sources, passing)
    return Operator(domain, codomain, graph.forward_product, graph.backward_product)


@dataclass(frozen=True)
class _Graph:
    results: tuple[Tensor, ...]
    sources: tuple[Tensor, ...]
    passing: Callable[[], AbstractContextManager[None]]

    def backward_product(self, u: Vector) -> Vector:
        """u W, each part shaped like its source."""
        slopes = self._slopes(u, create_graph=False)
        return tuple(
            torch.zeros_like(source) if slope is None else slope
            for slope, source in zip(slopes, self.sources, strict=True)
        )

    def forward_product(self, v: Vector) -> Vector:
        """W v, each part shaped like its result."""
        weights, slopes = self._recorded
        used = [(s, part) for s, part in zip(slopes, v, strict=True) if s is not None]
        if not used:
            return tuple(torch.zeros_like(weight) for weight in weights)
        with NO_AUTOCAST.restored(), saying_what_has_no_derivative():
            return torch.autograd.grad(
                [slope for slope, _ in used],
                weights,
                [part for _, part in used],
                retain_graph=True,
                materialize_grads=True,
            )

    @cached_property
    def _recorded(self) -> tuple[Vector, list[Tensor | None]]:
        """u, and u W as a function of it; None where it does not depend on u."""
        weights = tuple(torch.zeros_like(part).requires_grad_() for part in self.results)
        slopes = self._slopes(weights, create_graph=True)
        return weights, [s if s is not None and s.requires_grad else None for s in slopes]

    def _slopes(self, u: Vector, *, create_graph: bool) -> Sequence[Tensor | None]:
        pairs = zip(self.results, u, strict=True)
        reached = [(part, vector) for part, vector in pairs if part.requires_grad]
        if not reached:
            return (None,) * len(self.sources)
        with self.passing(), NO_AUTOCAST.restored(), saying_what_has_no_derivative():
            return torch.autograd.grad(
                [part for part, _ in reached],
                self.sources,
                [vector for _, vector in reached],
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
            )
