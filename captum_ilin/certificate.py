"""The certificate: how exact a map is, measured from independent quantities.

value         G(x0) against F(x0), the plain network's own forward pass.
affinity      the derivative of W with respect to x, which must vanish.
completeness  F(x0) against <W, x0> + b, with b from the ledger.
replay        the frozen network run at another point x against W x + b; when asked for.
baseline      <W, x0 − x'> against F(x0) − F(x'), two plain forward passes; with baselines x'.

All outputs are tested at once, combined by one fixed random vector u.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.casting import NO_AUTOCAST
from captum_ilin.derivatives import plain_forward
from captum_ilin.diagnosis import first_inexact_op
from captum_ilin.errors import NotExactError
from captum_ilin.probe import fixed_random_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captum_ilin.affine import AffineMap

__all__ = [
    "Certificate",
    "certify",
    "precision_of",
    "repeats",
    "require_exact",
    "row_maxima",
    "row_sums",
    "tolerance_for",
]


@dataclass(frozen=True)
class Certificate:
    """The measured exactness of an affine map. All errors are relative.

    Attributes:
        value_error: largest |G(x0) − F(x0)|, relative to the largest |F(x0)|.
        affinity_error: largest change of W along the input, |∂W·v| |x0| / |W|, for a fixed
            random direction v; 0 when W does not depend on x at all.
        completeness_error: largest |<W, x0> + b − F|, relative to
            max(|F|, Σ|W∘x0|, Σ|ledger|).
        rules: name of the rule table.
        dtype: dtype of the outputs.
        precision: the coarsest type that values on the way were computed in, which bounds
            what the errors can be: float16 or bfloat16 where autocast or the model uses it,
            otherwise ``dtype``.
        unregistered: op name → count, for ops frozen at their tangent for want of a rule.
        replay_error: largest |G(x) − (W x + b)| at a fixed random x, relative to the largest
            of |G(x)|, |W x| and |b|; None unless the certificate was a thorough one, of a
            map at one point.
        baseline_error: largest |<W, x0 − x'> − (F(x0) − F(x'))|, relative to
            max(|F(x0) − F(x')|, Σ|W∘(x0 − x')|); None without baselines.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> x = torch.randn(5, 3, dtype=torch.float64)
    >>> certificate = linearize(torch.tanh, x).certificate()
    >>> certificate.largest_error < 1e-14, certificate.rules, certificate.dtype
    (True, 'DEFAULT_RULES', torch.float64)
    """

    value_error: float
    affinity_error: float
    completeness_error: float
    rules: str
    dtype: torch.dtype
    precision: torch.dtype
    unregistered: Mapping[str, int]
    replay_error: float | None = None
    baseline_error: float | None = None

    @property
    def largest_error(self) -> float:
        """The largest of the errors."""
        always = (self.value_error, self.affinity_error, self.completeness_error)
        asked_for = (self.replay_error, self.baseline_error)
        return max(always + tuple(error for error in asked_for if error is not None))


def tolerance_for(dtype: torch.dtype) -> float:
    """Relative error allowed by default.

    About 4e4 units of rounding in float64 and 1e3 in float32: what the sums of a network
    of some hundred layers lose. In half precisions products are summed in float32, so that
    what is lost is the rounding of each layer's result: 16 units, 6.3e-2 in bfloat16
    (unit 2⁻⁸) and 7.8e-3 in float16 (2⁻¹¹); up to 5 were measured (docs/surroundings.md).
    """
    if dtype in _HALVES:
        return 16 * torch.finfo(dtype).eps / 2
    return {torch.float64: 1e-11, torch.float32: 1e-4}[dtype]


_HALVES = (torch.bfloat16, torch.float16)  # the coarser first


def precision_of(dtype: torch.dtype, used: set[torch.dtype]) -> torch.dtype:
    """The coarsest type that values on the way to outputs of ``dtype`` were computed in."""
    return next((half for half in _HALVES if half in used), dtype)


def repeats(affine_map: AffineMap, outputs: Tensor) -> bool:
    """Whether another frozen run at the operating point gave its outputs again, to rounding."""
    before, now = affine_map.outputs, outputs.detach()
    if before.shape != now.shape:
        return False
    limit = tolerance_for(precision_of(before.dtype, affine_map.freezing.dtypes))
    return bool((now - before).abs().max() <= limit * before.abs().max())


def certify(affine_map: AffineMap, *, thorough: bool = False) -> Certificate:
    """Measure ``affine_map``."""
    freezing, one_point = affine_map.freezing, affine_map.baselines is None
    with freezing.autocast.restored():
        plain = plain_forward(
            affine_map.forward_func, affine_map.leaves, affine_map.constants
        ).detach()
    vector = fixed_random_like(plain)
    counts: Counter[str] = Counter()
    for site, count in freezing.reports.unregistered.items():
        counts[site.op] += count
    return Certificate(
        value_error=_relative(affine_map.outputs - plain, plain.abs().max()),
        affinity_error=_affinity_error(affine_map, vector),
        completeness_error=_completeness_error(affine_map, plain, vector),
        rules=freezing.rules.name,
        dtype=plain.dtype,
        precision=precision_of(plain.dtype, freezing.dtypes),
        unregistered=MappingProxyType(counts),
        replay_error=_replay_error(affine_map) if thorough and one_point else None,
        baseline_error=_baseline_error(affine_map, plain, vector),
    )


def require_exact(affine_map: AffineMap, tolerance: float | None) -> Certificate:
    """The certificate, or NotExactError."""
    certificate = certify(affine_map)
    limit = tolerance_for(certificate.precision) if tolerance is None else tolerance
    if not certificate.largest_error <= limit:
        raise NotExactError(
            f"The affine map is not exact: value error {certificate.value_error:.1e}, "
            f"affinity error {certificate.affinity_error:.1e}, completeness error "
            f"{certificate.completeness_error:.1e}{_between_points(certificate)}, tolerance "
            f"{limit:.0e}. {first_inexact_op(affine_map, limit)}"
        )
    return certificate


def _between_points(certificate: Certificate) -> str:
    error = certificate.baseline_error
    return "" if error is None else f", error between the two points {error:.1e}"


def _baseline_error(affine_map: AffineMap, plain: Tensor, vector: Tensor) -> float | None:
    """The largest error of a row's Σ_t u_t (F_t(x0) − F_t(x'))."""
    baselines = affine_map.baselines
    if baselines is None:
        return None
    with affine_map.freezing.autocast.restored():
        before = plain_forward(
            affine_map.forward_func, baselines, affine_map.constants
        ).detach()
    change = row_sums((plain - before) * vector)
    combined = row_sums(affine_map.graph_outputs * vector)
    steps = [
        (x - before).detach() for x, before in zip(affine_map.leaves, baselines, strict=True)
    ]
    terms = [w * step for w, step in zip(affine_map._gradients(combined), steps, strict=True)]
    total = torch.stack([row_sums(term) for term in terms]).sum(0)
    magnitude = torch.stack([row_sums(term.abs()) for term in terms]).sum(0)
    return _relative(total - change, torch.maximum(change.abs(), magnitude))


def _replay_error(affine_map: AffineMap) -> float:
    """At random numbers of the inputs' own size, far outside what the gates belong to."""
    points = tuple(
        fixed_random_like(leaf) * leaf.detach().abs().max() for leaf in affine_map.leaves
    )
    x = points if isinstance(affine_map.inputs, tuple) else points[0]
    replayed = affine_map.replay(x)
    moved = affine_map.graph.row_products(affine_map.graph_outputs, points)
    constant = affine_map.graph.row_bias(affine_map.graph_outputs)
    scale = torch.stack([replayed.abs().max(), moved.abs().max(), constant.abs().max()])
    return _relative(replayed - (moved + constant), scale.max())


def _affinity_error(affine_map: AffineMap, vector: Tensor) -> float:
    outputs, leaves = affine_map.graph_outputs, affine_map.leaves
    if not outputs.requires_grad:
        return 0.0
    with NO_AUTOCAST.restored():
        return _change_of_weights(outputs, leaves, vector)


def _change_of_weights(outputs: Tensor, leaves: tuple[Tensor, ...], vector: Tensor) -> float:
    weights = torch.autograd.grad(
        outputs, leaves, vector, create_graph=True, retain_graph=True, allow_unused=True
    )
    moving = [weight for weight in weights if weight is not None and weight.requires_grad]
    if not moving:
        return 0.0
    changes = torch.autograd.grad(
        moving,
        leaves,
        [fixed_random_like(weight) for weight in moving],
        retain_graph=True,
        allow_unused=True,
    )
    size = max(float(weight.detach().norm()) for weight in moving)
    reach = max(float(leaf.detach().abs().max()) for leaf in leaves)
    change = max((float(c.abs().max()) for c in changes if c is not None), default=0.0)
    return change * max(reach, 1.0) / size if change else 0.0


def _completeness_error(affine_map: AffineMap, plain: Tensor, vector: Tensor) -> float:
    """The largest error of a row's Σ_t u_t F_t."""
    combined = row_sums(affine_map.graph_outputs * vector)
    value = row_sums(plain * vector)
    contributions = [
        (weight * leaf).detach()
        for weight, leaf in zip(affine_map._gradients(combined), affine_map.leaves, strict=True)
    ]
    total, magnitude = affine_map.graph.row_bias(combined), torch.zeros_like(value)
    for contribution in contributions:
        total = total + row_sums(contribution)
        magnitude = magnitude + row_sums(contribution.abs())
    ledger = sum(
        float(term.abs().sum())
        for _, terms in affine_map.graph.terms(combined.sum(), create_graph=False)
        for term in terms
    )
    scale = torch.maximum(value.abs(), magnitude).clamp_min(ledger / len(value))
    return _relative(total - value, scale)


def _relative(error: Tensor, scale: Tensor) -> float:
    """Largest |error| / scale; 0/0 is no error, a NaN stays one."""
    ratio = error.abs() / scale
    return float(ratio.masked_fill(error == 0, 0.0).max())


def row_sums(tensor: Tensor) -> Tensor:
    """(batch, \\*any) → (batch,); a tensor (batch,) stays as it is."""
    return tensor.unsqueeze(-1).flatten(1).sum(1)


def row_maxima(tensor: Tensor) -> Tensor:
    """(batch, \\*any) → (batch,): the largest magnitude of each row."""
    return tensor.abs().unsqueeze(-1).flatten(1).amax(1)
