"""The zero-sum gauge of W and b, for inputs that are one-hot codes.

Of a position's features exactly one is 1, so a constant can be added to all its weights and
taken from b without changing F: W itself depends on a choice of gauge. In the zero-sum gauge

    W'_(i,a) = W_(i,a) − Σ_a p_i(a) W_(i,a),    b' = b + Σ_i Σ_a p_i(a) W_(i,a),

it does not: W' says what category a adds at position i compared with the background's average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from captum_ilin.companions.categorical.background import background_of
from captum_ilin.companions.errors import CompanionInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from captum_ilin.affine import AffineMap
    from captum_ilin.companions.categorical.background import Background
    from captum_ilin.companions.categorical.groups import Groups
    from captum_ilin.stored import StoredMap

__all__ = ["ZeroSumMap", "zero_sum_map"]


class ZeroSumMap(NamedTuple):
    """W' and b', F(x) = <weight, x> + bias, with the sum of each position's weights 0.

    Attributes:
        weight: (batch, \\*shape), or (batch, \\*out, \\*shape) for every output.
        bias: (batch,), or (batch, \\*out).
        outputs: <weight, x> + bias at the map's inputs, shaped like ``bias``: F there.
    """

    weight: Tensor
    bias: Tensor
    outputs: Tensor


def zero_sum_map(
    affine_map: AffineMap | StoredMap,
    groups: Groups,
    target: Any = None,
    *,
    background: Background | Tensor | Sequence[Tensor] | None = None,
) -> ZeroSumMap:
    """A map's W and b in the zero-sum gauge of declared groups.

    W' is the same for every network that computes the same function of one-hot inputs with the
    same gates, whatever constants it hides in its first layer's weights; W is not. Features
    outside the groups keep their weights.

    Args:
        affine_map: made by ``linearize``, or stored; of one input that is one-hot in every
            group.
        groups: of the input's features.
        target (optional): any of Captum's target forms. Default: None, every output.
        background (optional): p_i(a), as `expand` takes it. Default: None, uniform.

    Returns:
        ZeroSumMap

    Raises:
        CompanionInputError: several inputs, another shape, or inputs that are not one-hot.

    Cost: that of ``weight(target)`` and ``bias(target)``.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> from captum_ilin.companions.categorical import Groups, zero_sum_map
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2)).double()
    >>> groups = Groups.of_positions((2, 3))
    >>> x = groups.encode(torch.tensor([[2, 0]])).double()
    >>> found = zero_sum_map(linearize(model, x), groups, target=1)
    >>> torch.allclose(found.outputs, model(x)[:, 1])
    True
    >>> bool((found.weight.sum(-1).abs() < 1e-12).all())
    True
    """
    if isinstance(affine_map.inputs, tuple):
        raise CompanionInputError(
            f"The map has {len(affine_map.inputs)} inputs; expected one tensor, of which the "
            "groups are declared. Linearize a function of that input alone."
        )
    groups.decode(affine_map.inputs)  # raises unless one-hot
    chosen = background_of(groups, background)
    weight, bias = affine_map.weight(target), affine_map.bias(target)
    assert isinstance(weight, Tensor)
    flat = weight.detach().flatten(bias.dim()).clone()
    shift = bias.detach().clone()
    for group, probabilities in zip(groups.features, chosen.probabilities, strict=True):
        places = torch.tensor(group, device=flat.device)
        mean = flat[..., places] @ probabilities.to(flat)
        flat[..., places] -= mean.unsqueeze(-1)
        shift = shift + mean
    x = affine_map.inputs.detach().flatten(1)
    outputs = (flat * x.reshape(len(x), *[1] * (flat.dim() - 2), -1)).sum(-1) + shift
    return ZeroSumMap(flat.reshape(weight.shape), shift, outputs)
