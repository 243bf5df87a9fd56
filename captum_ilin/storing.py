"""What is read from a map to be stored: tensors of their own memory, without graphs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.affine import AffineMap
from captum_ilin.errors import InputTypeError, NotOfferedError, TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from captum_ilin.location import Site

__all__ = ["biases_of", "check_storable", "ledgers_of", "own", "weights_of_targets"]


def check_storable(affine_map: Any, targets: Any) -> None:
    """A map with real outputs, and a list of targets or None.

    Raises:
        InputTypeError, NotOfferedError, TargetError: it is not.
    """
    if not isinstance(affine_map, AffineMap):
        raise InputTypeError(
            f"What is stored must be an AffineMap, but got {type(affine_map).__name__}. Make "
            "one: `linearize(model, inputs)`."
        )
    if affine_map.outputs.is_complex():
        raise NotOfferedError(
            f"The outputs are {affine_map.outputs.dtype}, and a map of complex outputs has no "
            "real W to store. Linearize `lambda x: torch.view_as_real(model(x))`."
        )
    if targets is not None and (not isinstance(targets, list) or not targets):
        raise TargetError(
            f"targets must be a list of targets, such as [3, 5], or None for every output, "
            f"but got {targets!r}. For one target pass a list of one."
        )


def weights_of_targets(
    affine_map: AffineMap, targets: Sequence[Any] | None, budget: int | None
) -> tuple[Tensor, ...]:
    """W of each input, (targets, batch, \\*features); of every output for None."""
    if targets is not None:
        each = [_tuple(affine_map.weight(target)) for target in targets]
        return tuple(torch.stack(weights) for weights in zip(*each, strict=True))
    out = affine_map.outputs.dim() - 1 if affine_map.outputs[0].numel() > 1 else 0
    return tuple(
        weight.unsqueeze(1).flatten(1, 1 + out).movedim(1, 0).contiguous()
        for weight in _tuple(affine_map.weight(budget=budget))
    )


def biases_of(affine_map: AffineMap, targets: Sequence[Any] | None) -> Tensor:
    """b, (targets, batch); of every output for None."""
    if targets is None:
        return own(affine_map.bias().reshape(len(affine_map.outputs), -1).T)
    return torch.stack([affine_map.bias(target) for target in targets])


def ledgers_of(
    affine_map: AffineMap, targets: Sequence[Any]
) -> tuple[Mapping[Site, Tensor], ...]:
    """The bias ledger of each target."""
    return tuple(
        MappingProxyType(
            {site: own(term) for site, term in affine_map.bias_ledger(target).items()}
        )
        for target in targets
    )


def own(tensor: Tensor) -> Tensor:
    """The numbers alone, in a memory of their own."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _tuple(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)
