"""``scipy_operator``: W as a ``scipy.sparse.linalg.LinearOperator``, for SciPy's solvers.

SciPy's vectors are flat arrays in the memory of the CPU: here all inputs one after another,
each flattened, and all outputs. Only products are handed over, never W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from captum_ilin.errors import NotOfferedError, ScipyPackageError
from captum_ilin.examples import check_first_dimensions
from captum_ilin.targets import check_row

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from captum_ilin.operator import Operator
    from captum_ilin.space import Space

__all__ = ["scipy_operator"]

_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def scipy_operator(W: Operator, row: int | None) -> LinearOperator:
    """W, or one example's block of it, as SciPy's solvers take it."""
    linalg, dtype, rows = _linalg(), _dtype(W), _rows(W, row)
    taken, given = _Flattened(W.domain, rows, dtype), _Flattened(W.codomain, rows, dtype)

    def product(V: np.ndarray) -> np.ndarray:
        """W V, for one vector or for each column."""
        if np.iscomplexobj(V):
            return product(V.real) + 1j * product(V.imag)
        return given.columns(W @ taken.vectors(V)).reshape(given.size, *V.shape[1:])

    def transposed(U: np.ndarray) -> np.ndarray:
        """Wᵀ U, for one vector or for each column."""
        if np.iscomplexobj(U):
            return transposed(U.real) + 1j * transposed(U.imag)
        return taken.columns(W.T @ given.vectors(U)).reshape(taken.size, *U.shape[1:])

    return linalg.LinearOperator(
        (given.size, taken.size),
        matvec=product,
        rmatvec=transposed,
        matmat=product,
        rmatmat=transposed,
        dtype=dtype,
    )


@dataclass(frozen=True)
class _Flattened:
    """Vectors of a space as flat columns, of some of its rows; elsewhere they are zero."""

    space: Space
    rows: slice
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        return [pattern[self.rows].numel() for pattern in self.space.patterns]

    def vectors(self, columns: np.ndarray) -> Tensor | tuple[Tensor, ...]:
        """(numbers,) or (numbers, count) → vectors, their count in front."""
        many = np.array(columns.reshape(self.size, -1).T, dtype=self.dtype, order="C")
        each = torch.from_numpy(many).split(self._sizes, 1)
        parts = tuple(
            self._among_zeros(chunk, pattern)
            for chunk, pattern in zip(each, self.space.patterns, strict=True)
        )
        return parts if self.space.is_tuple else parts[0]

    def _among_zeros(self, chunk: Tensor, pattern: Tensor) -> Tensor:
        """In the dtype and on the device of ``pattern``."""
        whole = pattern.new_zeros(len(chunk), *pattern.shape)
        whole[:, self.rows] = chunk.reshape(len(chunk), *pattern[self.rows].shape).to(pattern)
        return whole

    def columns(self, vectors: Tensor | tuple[Tensor, ...]) -> np.ndarray:
        """The reverse: vectors, their count in front → (numbers, count)."""
        parts = vectors if isinstance(vectors, tuple) else (vectors,)
        each = [part[:, self.rows].flatten(1).cpu().numpy() for part in parts]
        return np.concatenate(each, 1).astype(self.dtype, copy=False).T


def _linalg() -> Any:
    try:
        import scipy.sparse.linalg
    except ImportError as error:
        raise ScipyPackageError(
            "Linear operators are SciPy's, which is not installed. Install it with: "
            'python -m pip install "captum-ilin[scipy]"'
        ) from error
    return scipy.sparse.linalg


def _dtype(W: Operator) -> np.dtype[Any]:
    """NumPy's dtype of W; the wider where its parts differ."""
    found = [pattern.dtype for pattern in (*W.domain.patterns, *W.codomain.patterns)]
    for dtype in found:
        if dtype not in _DTYPES:
            raise NotOfferedError(
                f"SciPy's solvers compute in float32 or float64, but {W!r} is in {dtype}. "
                "Convert the model and its inputs to float32 or float64."
            )
    return np.result_type(*(_DTYPES[dtype] for dtype in found))


def _rows(W: Operator, row: int | None) -> slice:
    if row is None:
        return slice(None)
    check_first_dimensions(W, "Blocks of one row")
    number = check_row(row, len(W.domain.patterns[0]))
    return slice(number, number + 1)
