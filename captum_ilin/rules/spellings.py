"""The identities of an op: ``torch.sinc``, ``Tensor.sinc``, ``torch.special.sinc``, ...

Rules are found by identity. This file collects the identities that PyTorch gives one name;
a name that the installed PyTorch does not have gives none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["functions", "spellings", "writings"]

_OWNERS = (torch, Tensor, torch.special, torch._VF)
_OTHERS: dict[str, object] = {"functional": F, "_nn": torch._C._nn}


def spellings(*names: str) -> tuple[Op, ...]:
    """The ops of these names in torch, Tensor and torch.special, each identity once."""
    return _found(_OWNERS, names)


def writings(*names: str) -> tuple[Op, ...]:
    """Their forms that write into the first argument: the names with an underscore behind."""
    return _found((torch, Tensor, torch._VF), [f"{name}_" for name in names])


def functions(owner: str, *names: str) -> tuple[Op, ...]:
    """The ops of these names in ``"linalg"``, ``"fft"``, ``"functional"``, ``"_VF"``, ..."""
    return _found((_OTHERS.get(owner) or getattr(torch, owner),), names)


def _found(owners: tuple[object, ...], names: tuple[str, ...] | list[str]) -> tuple[Op, ...]:
    ops = (getattr(owner, name, None) for name in names for owner in owners)
    return tuple(dict.fromkeys(op for op in ops if callable(op)))
