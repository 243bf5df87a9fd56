"""FullGrad with signs: W ∘ x, and every constant of the bias ledger laid onto the input.

F(x) = Σ W ∘ x + Σ_s Σ ∂G/∂y_s ∘ c_s (Srinivas & Fleuret 2019, Prop. 1, with the ledger's
constants as the biases). A constant that entered an image, (1, channels, height, width), is
summed over channels and laid where it entered; any other is spread evenly. Both keep the sum,
so Σφ = F(x).

It is not the paper's saliency map (eq. 4): that takes absolute values, rescales each layer to
0–1 and adds them, which no longer adds up to anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin import by_definition, channels_first, linearize
from comparisons.methods.method import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from captum_ilin import BiasLedger, Site
    from comparisons.methods.method import Setting

__all__ = ["METHODS", "FullGrad", "laid_onto"]

# Of four dimensions, and between convolutions: images. PyTorch defines no layout of theirs.
BETWEEN_CONVOLUTIONS = frozenset({"relu6", "hardtanh", "clamp", "hardsigmoid", "threshold"})


class FullGrad:
    """Attributions that add up to F(x) with nothing left over.

    Args:
        model: what is explained.

    Cost: one forward and two backward passes for each example, and each op with a constant
    once more.
    """

    multiplies_by_inputs = True

    def __init__(self, model: Any) -> None:
        self.model = model

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        """(batch, \\*features); examples one by one, so that a constant is one example's."""
        by_example = isinstance(target, list) or (
            isinstance(target, Tensor) and target.numel() > 1
        )
        targets = target if by_example else [target] * len(inputs)
        found = [self._of_one(row, t) for row, t in zip(inputs.split(1), targets, strict=True)]
        return torch.cat(found)

    def _of_one(self, row: Tensor, target: Any) -> Tensor:
        affine_map = linearize(self.model, row)
        weight = affine_map.weight(target)
        assert isinstance(weight, Tensor)  # a tuple only for a tuple of inputs
        found = weight * row.detach()
        for constant in laid_onto(row, affine_map.bias_ledger(target)):
            found = found + constant
        return found


def laid_onto(row: Tensor, ledger: BiasLedger) -> Iterator[Tensor]:
    """Each constant's contributions on the input, with the same sum.

    Args:
        row: (1, \\*features)
        ledger: of one row.
    """
    is_image = row.dim() == 4
    planes = ledger.by_place(row.shape[2:], layout=_layout).placed if is_image else {}
    for site, entry in ledger.items():
        if site in planes:
            yield planes[site][:, None].expand_as(row) / row.shape[1]
        else:
            yield (entry.sum() / row.numel()).expand_as(row)


def _layout(site: Site, entry: Tensor) -> Tensor | None:
    if entry.dim() == 4 and site.op_name in BETWEEN_CONVOLUTIONS:
        return channels_first(site, entry)
    return by_definition(site, entry)


def _nothing(model: nn.Module, inputs: Tensor, target: Any, setting: Setting) -> Tensor:
    return inputs.new_zeros(len(inputs))


METHODS = (
    Method(
        "FullGrad",
        lambda setting: FullGrad,
        is_contribution=True,
        about="W ∘ x and the ledger's constants laid onto the input, with signs (after "
        "Srinivas 2019)",
        offset=_nothing,
        parameters={"rules": "DEFAULT_RULES", "postprocessing": "none"},
    ),
)
