"""Cases of Fourier transforms and complex numbers, checked on pairs of real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.rules import references as ref
from tests.rules.cases import active, case, of_complex, values

fft = torch.fft
REAL = (fft.fft, fft.fftn, fft.ifft, fft.ifftn, fft.rfft, fft.rfftn, fft.hfft, fft.irfft)
REAL += (fft.ihfft, fft.ihfftn, fft.fftshift, fft.ifftshift, fft.irfftn, fft.hfftn)
case(REAL, lambda: (active(2, 5),), ref.affine)
TWO = (fft.fft2, fft.ifft2, fft.rfft2, fft.ihfft2, fft.irfft2, fft.hfft2)
case(TWO, lambda: (active(2, 3, 4),), ref.affine)
COMPLEX = (fft.fft, fft.ifft, fft.irfft, fft.hfft, fft.irfftn, fft.fftn, fft.hfftn)
case(COMPLEX, lambda: (active(3, 4, 2),), ref.affine, lift=of_complex)
PARTS = tuple(
    getattr(torch._C.TensorBase, name).__get__ for name in ("H", "mH", "real", "imag", "T")
)
case(PARTS, lambda: (active(2, 3, 2),), ref.affine, lift=of_complex)
MOVES = (torch.real, torch.imag, torch.view_as_real, torch.view_as_real_copy)
MOVES += (torch.conj, Tensor.conj, torch.adjoint, Tensor.adjoint, torch.neg, torch.sum)
CONJUGATES = (torch.conj_physical, Tensor.conj_physical, torch.conj_physical_)
CONJUGATES += (Tensor.conj_physical_, torch.resolve_conj, Tensor.resolve_conj)
CONJUGATES += (torch.resolve_neg, Tensor.resolve_neg)
case((*MOVES, *CONJUGATES), lambda: (active(2, 3, 2),), ref.affine, lift=of_complex)
case(CONJUGATES, lambda: (active(2, 3),), ref.affine)
case((torch.view_as_complex,), lambda: (active(3, 2),), ref.affine)
case((torch.complex,), lambda: (active(4), active(4)), ref.affine)
case((torch.complex,), lambda: (active(4), values(4)), ref.affine)
case((Tensor.cfloat,), lambda: (torch.zeros(2).double().requires_grad_(),), ref.affine)
case((Tensor.cdouble,), lambda: (active(4),), ref.affine)
case(
    (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__),
    lambda: (active(3, 2), torch.view_as_complex(values(3, 2))),
    ref.affine,
    lift=of_complex,
)
MODULUS = (torch.abs, Tensor.abs, torch.absolute, torch.angle, Tensor.angle)
case(MODULUS, lambda: (active(3, 2),), ref.tangent, lift=of_complex)
case((torch.angle, Tensor.angle), lambda: (active(3),), ref.tangent)
SHORT = {"hop_length": 3, "return_complex": True}
case(
    (torch.stft, Tensor.stft),
    lambda: (active(12), 6),
    ref.affine,
    window=values(6, low=0.1),
    **SHORT,
)
case(
    (torch.stft, Tensor.stft),
    lambda: (active(12), 6, 3, 6, active(6, low=0.1)),
    ref.even_split,
    return_complex=True,
)
case(
    (torch.istft, Tensor.istft),
    lambda: (active(4, 5, 2), 6, 3),
    ref.affine,
    lift=of_complex,
    window=torch.ones(6).double(),
)


def _polar(ref_flat: ref.Flat) -> ref.Map:
    """Modulus flows, phase held: its cosine and sine are gates."""
    size = ref_flat.active[0].numel()
    phase = ref_flat.active[1].detach()
    zero = torch.zeros(2 * size, size, dtype=torch.float64)
    slope = torch.zeros(size, 2, size, dtype=torch.float64)
    for i in range(size):
        slope[i, 0, i], slope[i, 1, i] = torch.cos(phase[i]), torch.sin(phase[i])
    return torch.cat([slope.reshape(2 * size, size), zero], 1), zero[:, 0]


case((torch.polar,), lambda: (active(3, low=0.5), active(3)), _polar)
case((torch.polar,), lambda: (active(3), values(3)), ref.affine)
