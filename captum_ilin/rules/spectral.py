"""Complex numbers and Fourier transforms: linear over the reals.

Activity flows through complex values as it does through pairs of real ones. Products of them
are in ``products``, their modulus in ``selection``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from captum_ilin.rule import Kind
from captum_ilin.rules.primitives import product
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent

__all__ = ["RULES"]

RULES = RuleTable()

RULES.runs(
    Kind.LINEAR,
    *functions("fft", "fft", "fft2", "fftn", "ifft", "ifft2", "ifftn"),
    *functions("fft", "rfft", "rfft2", "rfftn", "irfft", "irfft2", "irfftn"),
    *functions("fft", "hfft", "hfft2", "hfftn", "ihfft", "ihfft2", "ihfftn"),
    *functions("fft", "fftshift", "ifftshift"),
    *spellings("real", "imag", "view_as_real", "view_as_complex"),
    *spellings("conj_physical", "resolve_conj", "resolve_neg"),
    *spellings("cfloat", "cdouble", "chalf"),
    inplace=writings("conj_physical"),
)

RULES.runs(Kind.AFFINE, torch.complex)

for _op in (torch.stft, Tensor.stft):

    @RULES.freezes(_op, affine_in_first=True)
    def stft(
        input: Tensor,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Bilinear in the signal and the window."""

        def plain(input: Tensor, window: Tensor | None) -> Tensor:
            return torch.stft(input, n_fft, hop_length, win_length, window, **options)

        return product(plain, input, window)


for _op in spellings("istft"):
    RULES.freezes(_op, affine_in_first=True, is_tangent=True)(partial(tangent, _op))


@RULES.decomposes(torch.polar)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs · (cos angle, sin angle)."""
    return torch.complex(abs * torch.cos(angle), abs * torch.sin(angle))


RULES.freezes(*spellings("angle"), rank=1, is_tangent=True)(partial(tangent, torch.angle))
