"""Cases of special functions, losses, distances and straight-through ops."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.spellings import spellings, writings
from tests.rules import references as ref
from tests.rules.cases import active, case, special, values

sp = torch.special
SMOOTH = spellings("ndtr", "erfc", "sinc", "i0") + writings("erfc", "sinc", "i0")
case((*SMOOTH, sp.i0e, sp.erfcx, sp.log_ndtr), lambda: (active(7),), ref.tangent)
case((torch.sinc, Tensor.sinc), special(0.0, 0.5), ref.tangent)
POSITIVE = spellings("digamma", "psi", "lgamma", "gammaln") + writings("digamma", "lgamma")
case((*POSITIVE, sp.entr), lambda: (active(5, low=0.3, high=4.0),), ref.tangent)
ACOSH = spellings("acosh", "arccosh") + writings("acosh", "arccosh")
case(ACOSH, lambda: (active(5, low=1.1, high=4.0),), ref.tangent)
case((sp.ndtri,), lambda: (active(5, low=0.1, high=0.9),), ref.tangent)
TWO = (*spellings("xlogy", "logaddexp2"), *writings("xlogy"), sp.xlog1py)
case(TWO, lambda: (active(4), active(4, low=0.2, high=3.0)), ref.tangent)
case(
    spellings("igamma", "gammainc", "igammac", "gammaincc") + writings("igamma", "igammac"),
    lambda: (values(4, low=0.5), active(4, low=0.2, high=3.0)),
    ref.tangent,
)
case((sp.zeta,), lambda: (values(3, low=2.0), active(3, low=0.5)), ref.tangent)
case((torch.logcumsumexp, Tensor.logcumsumexp), lambda: (active(2, 3), 1), ref.tangent)
case((Tensor.polygamma, Tensor.polygamma_), lambda: (active(3, low=0.4), 1), ref.tangent)
case((torch.polygamma, sp.polygamma), lambda: (1, active(3, low=0.4)), ref.tangent)
MULTI = spellings("mvlgamma", "multigammaln") + writings("mvlgamma")
case(MULTI, lambda: (active(3, low=1.5), 2), ref.tangent)
ERFINV = spellings("erfinv") + writings("erfinv")


def erfinv(y: float) -> float:
    """The root of erf(x) = y, by Newton's method."""
    x = 0.0
    for _ in range(60):
        x -= (math.erf(x) - y) / (2 / math.sqrt(math.pi) * math.exp(-x * x))
    return x


def bessel_i1(x: float) -> float:
    """Its power series."""
    terms = (
        (x / 2) ** (2 * k + 1) / (math.factorial(k) * math.factorial(k + 1)) for k in range(40)
    )
    return sum(terms)


case(
    ERFINV,
    special(-0.7, -0.2, 0.0, 0.3, 0.8),
    ref.secant(erfinv, math.sqrt(math.pi) / 2),
)
case((sp.i1,), special(-2.0, 0.0, 0.5, 3.0), ref.secant(bessel_i1, 0.5))
case(
    (sp.i1e,),
    special(-2.0, 0.0, 0.5, 3.0),
    ref.secant(lambda x: math.exp(-abs(x)) * bessel_i1(x), 0.5),
)
case((F.pdist,), lambda: (active(4, 2),), ref.tangent)
case((F.lp_pool1d,), lambda: (active(2, 2, 6), 2.0, 2), ref.tangent)
case((F.lp_pool2d,), lambda: (active(1, 2, 4, 4), 2.0, 2), ref.tangent)
case((F.lp_pool3d,), lambda: (active(1, 1, 4, 4, 4), 2.0, 2), ref.tangent)
case(
    (torch.segment_reduce,),
    lambda: (active(5), "sum"),
    ref.affine,
    lengths=torch.tensor([2, 3]),
)

# Losses.
signs = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]).double()
case((F.l1_loss, F.smooth_l1_loss, F.huber_loss), lambda: (active(5), values(5)), ref.tangent)
case((F.smooth_l1_loss, F.l1_loss), lambda: (active(5), active(5) * 0.7), ref.tangent)
HINGES = (F.soft_margin_loss, F.hinge_embedding_loss, torch.hinge_embedding_loss)
case(HINGES, lambda: (active(5), signs), ref.tangent)
classes = torch.tensor([1, 0])
CLASSES = (F.cross_entropy, F.nll_loss, F.multi_margin_loss)
case(CLASSES, lambda: (active(2, 3), classes), ref.tangent)
case((F.multilabel_soft_margin_loss,), lambda: (active(2, 3), values(2, 3)), ref.tangent)
case(
    (F.multilabel_margin_loss,),
    lambda: (active(1, 3), torch.tensor([[2, 0, -1]])),
    ref.tangent,
)
PROBABLE = (F.binary_cross_entropy,)
case(
    PROBABLE, lambda: (active(4, low=0.1, high=0.9), values(4, low=0.1, high=0.9)), ref.tangent
)
LOGITS = (F.binary_cross_entropy_with_logits, torch.binary_cross_entropy_with_logits)
case(LOGITS, lambda: (active(4), values(4, low=0.1, high=0.9)), ref.tangent)
case((F.kl_div,), lambda: (active(4), values(4, low=0.1)), ref.tangent, reduction="sum")
case((torch.kl_div,), lambda: (active(4), values(4, low=0.1), 2), ref.tangent)
case((F.poisson_nll_loss,), lambda: (active(4), values(4, low=0.1)), ref.tangent)
case(
    (torch.poisson_nll_loss,),
    lambda: (active(4), values(4, low=0.1), True, False, 1e-8, 1),
    ref.tangent,
)
case(
    (F.gaussian_nll_loss,),
    lambda: (active(4), values(4), active(4, low=0.5, high=2.0)),
    ref.tangent,
)
RANKED = (F.margin_ranking_loss, torch.margin_ranking_loss)
case(RANKED, lambda: (active(3), active(3) * 1.3, signs[:3]), ref.tangent)
COSINES = (F.cosine_embedding_loss, torch.cosine_embedding_loss)
case(COSINES, lambda: (active(3, 4), active(3, 4), signs[:3]), ref.tangent)
TRIPLETS = (F.triplet_margin_loss, F.triplet_margin_with_distance_loss)
TRIPLETS += (torch.triplet_margin_loss,)
case(TRIPLETS, lambda: (active(2, 3), values(2, 3), active(2, 3)), ref.tangent)
case(
    (F.ctc_loss, torch.ctc_loss),
    lambda: (
        active(4, 1, 3),
        torch.tensor([[1, 2]]),
        torch.tensor([4]),
        torch.tensor([2]),
    ),
    ref.tangent,
)
case(
    (F.linear_cross_entropy,),
    lambda: (active(2, 4), values(3, 4), classes),
    ref.tangent,
)


def _squares(flat: ref.Flat) -> ref.Map:
    """The mean of (a − t)²: one factor held, so D = (a0 − t)/n and c = −Σ t (a0 − t)/n."""
    a, t = flat.args[0].detach(), flat.args[1]
    slope = (a - t) / a.numel()
    return slope.reshape(1, -1), -(t * slope).sum().reshape(1)


case((F.mse_loss,), lambda: (active(5), values(5)), _squares)
FAKE = (torch.fake_quantize_per_tensor_affine,)
case(FAKE, lambda: (active(5, low=-1.7, high=1.7), 0.25, 0, -8, 7), ref.straight_through)
case(FAKE, lambda: (active(4, low=3.0, high=5.0), 0.25, 0, -8, 7), ref.constant)
case(
    (torch.fake_quantize_per_channel_affine,),
    lambda: (
        active(2, 3, low=-1.3, high=1.3),
        torch.tensor([0.3, 0.2]),
        torch.zeros(2),
        0,
        -8,
        7,
    ),
    ref.straight_through,
)
