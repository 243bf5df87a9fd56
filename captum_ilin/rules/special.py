"""Special functions, distances and straight-through ops, at their tangent or secant."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction

from captum_ilin.errors import TrainingModeWarning
from captum_ilin.holding import hold, is_replaying
from captum_ilin.rules.primitives import secant
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent
from captum_ilin.warning import warn

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()


def _tangents(*ops: Op, inplace: tuple[Op, ...] = (), rank: int = 1) -> None:
    """Register all spellings of one op with its first-order Taylor expansion."""
    register = RULES.freezes(*ops, inplace=inplace, rank=rank, is_tangent=True)
    register(partial(tangent, ops[0]))


def _secants(*ops: Op, inplace: tuple[Op, ...] = (), at_zero: float) -> None:
    """Register all spellings of one op with φ(0) = 0 with its chord through the origin."""
    register = RULES.freezes(*ops, inplace=inplace, rank=1)
    register(partial(secant, ops[0], at_zero=at_zero))


_tangents(*spellings("ndtr"), rank=2)  # x · ndtr(x) is GELU
for _names in (
    *(("erfc",), ("digamma", "psi"), ("lgamma", "gammaln"), ("sinc",), ("i0",)),
    *(("acosh", "arccosh"), ("xlogy",), ("logaddexp2",), ("logcumsumexp",)),
    *(("igamma", "gammainc"), ("igammac", "gammaincc")),
):
    _tangents(*spellings(*_names), inplace=writings(*_names))
for _name in ("entr", "erfcx", "i0e", "log_ndtr", "ndtri", "xlog1py", "zeta"):
    _tangents(*functions("special", _name))
_secants(*spellings("erfinv"), inplace=writings("erfinv"), at_zero=torch.pi**0.5 / 2)
_secants(torch.special.i1, at_zero=0.5)
_secants(torch.special.i1e, at_zero=0.5)


@RULES.freezes(torch.polygamma, torch.special.polygamma, is_tangent=True, rank=1)
def polygamma(n: int, input: Tensor) -> Tensor:
    return tangent(torch.polygamma, n, input)


@RULES.freezes(Tensor.polygamma, inplace=writings("polygamma"), is_tangent=True, rank=1)
def tensor_polygamma(input: Tensor, n: int) -> Tensor:
    return tangent(torch.polygamma, n, input)


_tangents(*spellings("mvlgamma", "multigammaln"), inplace=writings("mvlgamma", "multigammaln"))


@RULES.freezes(F.pdist, rank=2, is_tangent=True)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Its definition, ‖x_i − x_j‖_p for i < j: PyTorch's own has no second derivative."""
    return tangent(_pairs, input, p)


def _pairs(input: Tensor, p: float) -> Tensor:
    first, second = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return torch.linalg.vector_norm(input[first] - input[second], p, dim=-1)


for _op in spellings("segment_reduce"):
    _tangents(_op, rank=0)

# Norms over windows: homogeneous, so the tangent has no intercept.
for _op in functions("functional", "lp_pool1d", "lp_pool2d", "lp_pool3d"):
    _tangents(_op, rank=0)

# Rounding with a straight-through slope, 1 inside the range.
for _op in spellings("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"):
    _tangents(_op, rank=0)


@RULES.decomposes(F.gumbel_softmax, rank=2)
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """softmax((logits + g)/τ) with the noise g as drawn (Jang et al. 2017).

    With ``hard`` the value is one-hot and the slope that of the soft one, as in PyTorch.
    """
    _warn_of_noise()
    noise = -hold(lambda: torch.empty_like(logits).exponential_().log())
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    chosen = torch.zeros_like(soft).scatter_(dim, soft.max(dim, keepdim=True).indices, 1.0)
    return chosen - soft.detach() + soft


def _warn_of_noise() -> None:
    if not is_replaying():
        warn(
            TrainingModeWarning,
            "gumbel_softmax draws random noise: the map holds for this draw only.",
        )


def _losses() -> tuple[Op, ...]:
    names = (
        *("binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy"),
        *("cosine_embedding_loss", "ctc_loss", "gaussian_nll_loss", "hinge_embedding_loss"),
        *("huber_loss", "kl_div", "margin_ranking_loss", "multi_margin_loss"),
        *("multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss"),
        *("poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss"),
        *("triplet_margin_with_distance_loss", "linear_cross_entropy", "l1_loss"),
    )
    return functions("functional", *names) + spellings(*names)


for _op in dict.fromkeys(_losses()):
    _tangents(_op, rank=0)


@RULES.decomposes(F.mse_loss)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input − target)²: the square of what flows."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    squares = (input - target).square()
    if weight is not None:
        squares = squares * weight
    if reduction == "none":
        return squares
    if reduction == "sum":
        return squares.sum()
    return squares.mean() if weight is None else squares.sum() / weight.expand_as(squares).sum()
