"""``nearest_tokens``: directions in a space that tokens live in, read as tokens.

For a vector v and a table whose rows e_t belong to tokens, the tokens with the largest cosine
<v, e_t> / (|v| |e_t|), or product <v, e_t>, and those for −v.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from captum_ilin.errors import TokenTableError

__all__ = ["NearestTokens", "nearest_tokens"]


class NearestTokens(NamedTuple):
    """The tokens that directions point to, and those that they point away from.

    Attributes:
        tokens: numbers of the rows nearest to v, (\\*count, k), the nearest first.
        similarities: of v and these rows.
        opposite_tokens: numbers of the rows nearest to −v.
        opposite_similarities: of −v and these.

    >>> import torch
    >>> from captum_ilin import nearest_tokens
    >>> table = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-1.0, -1.0]])
    >>> nearest_tokens(torch.tensor([2.0, 0.0]), table, k=1).opposite_tokens
    tensor([2])
    """

    tokens: Tensor
    similarities: Tensor
    opposite_tokens: Tensor
    opposite_similarities: Tensor


@torch.no_grad()
def nearest_tokens(
    vectors: Tensor,
    table: Tensor,
    k: int = 5,
    *,
    by: Literal["cosine", "product"] = "cosine",
) -> NearestTokens:
    """The rows of a table that vectors point to, and the rows that they point away from.

    A singular vector's sign is arbitrary: (−u, −v) is as good a pair as (u, v). So both are
    given; that the signs of u and v belong together is all that they say. A vector over the
    logits needs no table: its own largest entries are tokens, ``u.topk(k)``.

    Args:
        vectors: (\\*count, width), not zero.
        table: (tokens, width): a model's embeddings, for directions among its embeddings
            (``model.get_input_embeddings().weight``), or its output head, for those of its
            last hidden values (``model.get_output_embeddings().weight``).
        k (int, optional): how many tokens, up to the table's number of rows. Default: 5.
        by (optional): "cosine", of the angle alone, or "product", in which long rows count
            more: what a linear head adds to each logit. Default: "cosine".

    Returns:
        NearestTokens: each (\\*count, k), in the precision of the finer of the two.

    Raises:
        TokenTableError: shapes, numbers or names that do not go together.

    Cost: one product with the table.

    Source: Golden 2025, Equivalent Linear Mappings of Large Language Models, TMLR, arXiv
    2505.24293, which decodes singular vectors of one token's Jacobian.

    >>> import torch
    >>> from captum_ilin import nearest_tokens
    >>> table = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-1.0, -1.0]])
    >>> nearest_tokens(torch.tensor([[2.0, 0.5]]), table, k=2).tokens
    tensor([[0, 1]])
    """
    _check(vectors, table, k, by)
    dtype = torch.promote_types(vectors.dtype, table.dtype)
    directions, rows = vectors.detach().to(dtype), table.detach().to(dtype)
    similarities = directions @ rows.T
    if by == "cosine":
        lengths = rows.norm(dim=1)
        similarities = similarities / directions.norm(dim=-1, keepdim=True)
        similarities = similarities / lengths.where(lengths != 0, 1.0)  # a row of zeros: 0
    nearest, farthest = similarities.topk(k), (-similarities).topk(k)
    return NearestTokens(nearest.indices, nearest.values, farthest.indices, farthest.values)


def _check(vectors: Tensor, table: Tensor, k: int, by: str) -> None:
    if table.dim() != 2 or vectors.dim() < 1 or vectors.shape[-1] != table.shape[1]:
        raise TokenTableError(
            f"The last dimension of the vectors must be the table's width, (..., width) and "
            f"(tokens, width), but got {tuple(vectors.shape)} and {tuple(table.shape)}. Take "
            "the table of the space that the vectors are in."
        )
    for name, values in (("vectors", vectors), ("table", table)):
        if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            kind = "NaN or infinity" if values.is_floating_point() else str(values.dtype)
            raise TokenTableError(
                f"The {name} must hold finite floating-point numbers, but got {kind}."
            )
    if not bool(vectors.any(dim=-1).all()):
        raise TokenTableError(
            "A vector is zero, so it points to no token. Leave it out: a singular value of 0 "
            "has no direction."
        )
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(table):
        raise TokenTableError(
            f"k must be an int from 1 to {len(table)}, the rows of the table, but got {k!r}."
        )
    if by not in ("cosine", "product"):
        raise TokenTableError(f"by must be 'cosine' or 'product', but got {by!r}.")
