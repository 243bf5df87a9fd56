"""``Singular``: the directions of the input that move the outputs most, and how far.

W v_i = s_i u_i with s_1 ≥ s_2 ≥ …, from products with W alone. A basis V of input directions
grows by the block Wᵀ U_k until it holds the first k: the singular value decomposition of the
narrow matrix W V then gives s, U and, turned by its right vectors, V; and W v_i = s_i u_i
holds exactly, so that what is left of Wᵀ u_i − s_i v_i tells the error.

Source: block Krylov iteration, Musco and Musco 2015, arXiv 1504.05477, algorithm 2, with the
basis orthogonalised anew at each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from captum_ilin.errors import NotOfferedError, RankError
from captum_ilin.examples import (
    check_first_dimensions,
    matrix,
    not_apart,
    size,
    vectors,
)

if TYPE_CHECKING:
    from captum_ilin.operator import Operator

__all__ = ["Singular", "singular"]

_WHAT = "Singular values"
_MORE = 4  # vectors beyond k in a block: the first k converge faster


class Singular(NamedTuple):
    """The first k singular values of W, and their vectors.

    Attributes:
        U: (k, batch, \\*out), the directions of the outputs, of norm 1 in each example.
        S: (k, batch), the largest first.
        V: (k, batch, \\*features), the directions of the inputs, of norm 1 in each example;
            a tuple for a tuple of inputs, of norm 1 together.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> W = linearize(lambda x: x * torch.tensor([1.0, 3.0]), torch.ones(1, 2)).operator()
    >>> W.svd(1).S
    tensor([[3.]])
    """

    U: Tensor
    S: Tensor
    V: Tensor | tuple[Tensor, ...]


def singular(W: Operator, k: int) -> Singular:
    """The first k singular values and vectors of each example's block of W."""
    _check(W, k)
    basis = _started(W, min(k + _MORE, size(W.codomain)))
    image = matrix(W @ vectors(basis, W.domain))
    while True:
        U, S, right = torch.linalg.svd(image, full_matrices=False)
        U, S, V = U[..., :k], S[:, :k], basis @ right.mT[..., :k]
        pulled = matrix(vectors(U, W.codomain) @ W)
        if _error(pulled, S, V) <= _tolerance(S):
            u, v = vectors(U, W.codomain), vectors(V, W.domain)
            assert isinstance(u, Tensor)
            return Singular(u, S.T.contiguous(), v)
        added = _orthogonal(pulled, basis)
        if not added.shape[-1]:
            raise not_apart(_WHAT)
        basis = torch.cat([basis, added], -1)
        image = torch.cat([image, matrix(W @ vectors(added, W.domain))], -1)


def _check(W: Operator, k: int) -> None:
    if W.codomain.is_tuple:
        raise NotOfferedError(
            f"Singular vectors of {W!r} would be tuples on the side it gives, which is not "
            "offered. Ask for those of its transpose, W.T.svd(k), where U and V change places."
        )
    check_first_dimensions(W, _WHAT)
    largest = min(size(W.domain), size(W.codomain))
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= largest:
        raise RankError(
            f"The number of singular values must be an int from 1 to {largest}, the smaller "
            f"of an example's {size(W.domain)} and {size(W.codomain)} numbers on the two "
            f"sides of {W!r}, but got {k!r}. Ask for fewer."
        )
    patterns = (*W.domain.patterns, *W.codomain.patterns)
    if any(pattern.dtype in (torch.float16, torch.bfloat16) for pattern in patterns):
        raise NotOfferedError(
            f"PyTorch decomposes no matrices in half precision, which {W!r} is in. Convert "
            "the model and its inputs to float32 or float64."
        )


def _started(W: Operator, block: int) -> Tensor:
    """An orthonormal basis of the rows of W for random combinations of outputs.

    A whole set of combinations gives all rows, so that the first step is the last.
    """
    pattern = W.codomain.patterns[0]
    generator = torch.Generator().manual_seed(0)
    shape = (len(pattern), size(W.codomain), block)
    start = torch.randn(shape, generator=generator, dtype=torch.float64).to(pattern)
    rows = matrix(vectors(torch.linalg.qr(start).Q, W.codomain) @ W)
    return torch.linalg.qr(rows).Q


def _orthogonal(vectors: Tensor, basis: Tensor) -> Tensor:
    """Orthonormal vectors that ``vectors`` add to the basis, as many as there is room for."""
    width = basis.shape[-1]
    for _ in range(2):  # the second time for what rounding left of the basis
        vectors = vectors - basis @ (basis.mT @ vectors)
    return torch.linalg.qr(torch.cat([basis, vectors], -1)).Q[..., width:]


def _error(pulled: Tensor, S: Tensor, V: Tensor) -> float:
    """The largest |Wᵀ u − s v|, relative to the largest s of the same example."""
    left = (pulled - V * S[:, None]).norm(dim=1).amax(1)
    return float((left / S[:, 0].where(S[:, 0] > 0, 1.0)).max())


def _tolerance(S: Tensor) -> float:
    """Some thousand units of rounding: what sums over a network's layers lose."""
    return 1e3 * torch.finfo(S.dtype).eps
