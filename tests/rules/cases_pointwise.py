"""Cases of pointwise ops and of what is built from them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.rules import references as ref
from tests.rules.cases import active, case, special, values

nn = torch._C._nn
SPECIAL = (0.0, -0.0, 1e-8, -30.0, 30.0, 0.7, -1.3)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def gelu_tanh(z: float) -> float:
    return 0.5 * z * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def elu(z: float, alpha: float) -> float:
    return z if z > 0 else alpha * math.expm1(z)


def celu(z: float, alpha: float) -> float:
    return z if z > 0 else alpha * math.expm1(z / alpha)


SELU = 1.0507009873554805, 1.6732632423543772
RELU6 = lambda z: min(max(z, 0.0), 6.0)  # noqa: E731  # one line beside its siblings

# φ(0) = 0: secants. (φ, φ'(0), identities, largest value)
SECANTS = [
    (lambda z: 0.5 * z * math.erfc(-z / math.sqrt(2)), 0.5, (F.gelu,), 8),
    (lambda z: z * sigmoid(z), 0.5, (F.silu, nn.silu, nn.silu_), 30),
    (lambda z: z * RELU6(z + 3) / 6, 0.5, (F.hardswish, nn.hardswish, nn.hardswish_), 30),
    (
        lambda z: z * math.tanh(softplus(z)),
        math.tanh(math.log(2)),
        (F.mish, nn.mish, nn.mish_),
        30,
    ),
    (lambda z: z / (1 + abs(z)), 1.0, (F.softsign,), 30),
    (math.tanh, 1.0, (torch.tanh, Tensor.tanh, F.tanh, torch.tanh_, Tensor.tanh_), 30),
    (lambda z: z - math.tanh(z), 0.0, (F.tanhshrink,), 30),
    (math.sin, 1.0, (torch.sin, Tensor.sin, torch.sin_, Tensor.sin_), 30),
    (math.tan, 1.0, (torch.tan, Tensor.tan, torch.tan_, Tensor.tan_), 1.4),
    (math.atan, 1.0, (torch.atan, Tensor.atan, torch.atan_, Tensor.atan_, torch.arctan), 30),
    (math.atan, 1.0, (Tensor.arctan, torch.arctan_, Tensor.arctan_), 30),
    (math.asin, 1.0, (torch.asin, Tensor.asin, torch.asin_, Tensor.asin_, torch.arcsin), 0.99),
    (math.asin, 1.0, (Tensor.arcsin, torch.arcsin_, Tensor.arcsin_), 0.99),
    (math.sinh, 1.0, (torch.sinh, Tensor.sinh, torch.sinh_, Tensor.sinh_), 5),
    (math.asinh, 1.0, (torch.asinh, Tensor.asinh, torch.asinh_, Tensor.asinh_), 30),
    (math.asinh, 1.0, (torch.arcsinh, Tensor.arcsinh, torch.arcsinh_, Tensor.arcsinh_), 30),
    (math.atanh, 1.0, (torch.atanh, Tensor.atanh, torch.atanh_, Tensor.atanh_), 0.99),
    (math.atanh, 1.0, (torch.arctanh, Tensor.arctanh, torch.arctanh_, Tensor.arctanh_), 0.99),
    (math.erf, 2 / math.sqrt(math.pi), (torch.erf, Tensor.erf, torch.special.erf), 8),
    (math.erf, 2 / math.sqrt(math.pi), (torch.erf_, Tensor.erf_), 8),
    (math.expm1, 1.0, (torch.expm1, Tensor.expm1, torch.special.expm1), 8),
    (math.expm1, 1.0, (torch.expm1_, Tensor.expm1_), 8),
    (math.log1p, 1.0, (torch.log1p, Tensor.log1p, torch.special.log1p), 0.99),
    (math.log1p, 1.0, (torch.log1p_, Tensor.log1p_), 0.99),
    (
        lambda z: SELU[0] * elu(z, SELU[1]),
        math.prod(SELU),
        (F.selu, torch.selu, torch.selu_),
        30,
    ),
    (lambda z: z * z, 0.0, (torch.square, Tensor.square, torch.square_, Tensor.square_), 30),
]
for phi, slope, ops, largest in SECANTS:
    chosen = [z if abs(z) <= largest else math.copysign(largest, z) for z in SPECIAL]
    case(ops, special(*chosen), ref.secant(phi, slope))
    case(
        ops,
        lambda top=largest: (active(2, 3, low=-top / 3, high=top / 3),),
        ref.secant(phi, slope),
    )

case((F.gelu,), special(*SPECIAL), ref.secant(gelu_tanh, 0.5), approximate="tanh")
for alpha in (1.0, 0.3):
    case(
        (F.elu, nn.elu, nn.elu_),
        lambda a=alpha: (*special(*SPECIAL)(), a),
        ref.secant(lambda z, a=alpha: elu(z, a), alpha),
    )
    case(
        (F.celu, torch.celu, torch.celu_),
        lambda a=alpha: (*special(*SPECIAL)(), a),
        ref.secant(lambda z, a=alpha: celu(z, a), 1.0),
    )
POWERS = (torch.pow, Tensor.pow, Tensor.__pow__, Tensor.pow_, Tensor.__ipow__)
for power in (1, 2, 3, 2.5):
    low = -2.0 if power == int(power) else 0.1
    case(
        (*POWERS, torch.float_power, Tensor.float_power),
        lambda p=power, low=low: (active(4, low=low, high=2.0), p),
        ref.secant(lambda z, p=power: z**p, 1.0 if power == 1 else 0.0),
    )
case(POWERS, lambda: (*special(0.0, 1.0, -1.0)(), 2), ref.secant(lambda z: z**2, 0.0))
case(POWERS, lambda: (active(4, low=0.2), 0.5), ref.tangent)
case(POWERS, lambda: (active(4, low=0.2), -1), ref.tangent)
case((torch.pow,), lambda: (active(3, low=0.2), active(3)), ref.tangent)
case((Tensor.__rpow__,), lambda: (active(3), 2.0), ref.tangent)

# φ(0) ≠ 0 or no slope at 0: tangents, anywhere, and where positive values are needed.
ANYWHERE = [
    (torch.sigmoid, Tensor.sigmoid, F.sigmoid, torch.special.expit),
    (torch.sigmoid_, Tensor.sigmoid_),
    (torch.exp, Tensor.exp, torch.exp_, Tensor.exp_),
    (torch.exp2, Tensor.exp2, torch.special.exp2, torch.exp2_, Tensor.exp2_),
    (torch.cos, Tensor.cos, torch.cos_, Tensor.cos_),
    (torch.cosh, Tensor.cosh, torch.cosh_, Tensor.cosh_),
    (F.softplus, F.logsigmoid, torch.var, Tensor.var, torch.std, Tensor.std),
    (torch.var_mean, torch.std_mean, torch.norm, Tensor.norm),
    (torch.linalg.norm, torch.linalg.vector_norm, torch.linalg.matrix_norm),
    (torch.reciprocal, Tensor.reciprocal, torch.reciprocal_, Tensor.reciprocal_),
]
for ops in ANYWHERE:
    case(ops, lambda: (active(2, 3),), ref.tangent)
POSITIVE = [
    (torch.log, Tensor.log, torch.log_, Tensor.log_, torch.log2, Tensor.log2, torch.log2_),
    (Tensor.log2_, torch.log10, Tensor.log10, torch.log10_, Tensor.log10_),
    (torch.sqrt, Tensor.sqrt, torch.sqrt_, Tensor.sqrt_),
    (torch.rsqrt, Tensor.rsqrt, torch.rsqrt_, Tensor.rsqrt_),
]
for ops in POSITIVE:
    case(ops, lambda: (active(2, 3, low=0.1),), ref.tangent)
INVERSE_COSINES = (
    torch.acos,
    Tensor.acos,
    torch.acos_,
    Tensor.acos_,
    torch.arccos,
    Tensor.arccos,
)
case(INVERSE_COSINES, lambda: (active(5, low=-0.9, high=0.9),), ref.tangent)
case((torch.arccos_, Tensor.arccos_), lambda: (active(5, low=-0.9, high=0.9),), ref.tangent)
ALONG = (torch.softmax, Tensor.softmax, F.softmax, F.softmin, F.log_softmax, torch.log_softmax)
case((*ALONG, torch.special.softmax), lambda: (active(2, 4), -1), ref.tangent)
case((Tensor.log_softmax, torch.special.log_softmax), lambda: (active(2, 4), -1), ref.tangent)
SUMS = (torch.logsumexp, Tensor.logsumexp, torch.special.logsumexp)
case(SUMS, lambda: (active(2, 4), -1), ref.tangent)
PAIRS = (torch.logaddexp, Tensor.logaddexp, torch.atan2, Tensor.atan2, torch.arctan2)
LOGITS = (torch.logit, Tensor.logit, torch.special.logit)
case(LOGITS, lambda: (active(5, low=0.05, high=0.95),), ref.tangent)
case(
    (*PAIRS, Tensor.arctan2, torch.hypot, Tensor.hypot),
    lambda: (active(4), active(4)),
    ref.tangent,
)
DISTANCES = (F.pairwise_distance, torch.cdist)
case(DISTANCES, lambda: (active(2, 3), values(2, 3)), ref.tangent)
