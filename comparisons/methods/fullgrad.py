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

from captum_ilin import Site, linearize
from comparisons.methods.method import Method

if TYPE_CHECKING:
    from torch import nn

    from comparisons.methods.method import Setting

__all__ = ["METHODS", "FullGrad", "laid_onto"]

IMAGE_OPS = frozenset(
    {
        *("conv2d", "conv_transpose2d", "batch_norm", "group_norm", "instance_norm"),
        *("relu6", "hardtanh", "clamp", "hardsigmoid", "threshold"),
    }
)  # of four dimensions these are images; attention's scores have four dimensions too


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
        for site, term in affine_map.bias_ledger(target).items():
            found = found + laid_onto(row, site, term)
        return found


def laid_onto(row: Tensor, site: Site, term: Tensor) -> Tensor:
    """A constant's contributions on the input, with the same sum.

    Args:
        row: (1, \\*features)
        site: where the constant entered.
        term: its contributions, shaped like the op's output.
    """
    op = site.op.partition("#")[0].partition("[")[0]
    if not (row.dim() == term.dim() == 4 and op in IMAGE_OPS):
        return (term.sum() / row.numel()).expand_as(row)
    height, width = (
        _shares(to, of).to(term) for to, of in zip(row.shape[2:], term.shape[2:], strict=True)
    )
    image = height @ term.sum(1, keepdim=True) @ width.T
    return image.expand_as(row) / row.shape[1]


def _shares(to: int, of: int) -> Tensor:
    """(to, of): the part of each of ``of`` stretches that lies in each of ``to``."""
    ends = torch.arange(1, to + 1, dtype=torch.float64)[:, None] / to
    others = torch.arange(1, of + 1, dtype=torch.float64)[None] / of
    overlap = torch.minimum(ends, others) - torch.maximum(ends - 1 / to, others - 1 / of)
    return overlap.clamp(min=0) * of


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
