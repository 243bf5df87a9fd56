"""The laws every rule and every map obeys, as checks anyone can run.

value              G(x0) = F(x0)
affinity           ∂W/∂x = 0
completeness       F(x0) = W x0 + b, with b from what the rules themselves report
adjointness        <u, W v> = <Wᵀ u, v>
batch independence a row's map is the same alone and in company
reference          W and b equal a dense D and c written from the definition

Value and affinity alone are obeyed by a rule that throws everything into b; only the
reference tells. Source: Li et al. 2023, arXiv 2310.16295, for the identity F = W x + b.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.arguments import substituted, tensors
from captum_ilin.certificate import Certificate, certify, row_sums, tolerance_for
from captum_ilin.errors import LawError
from captum_ilin.linearization import linearize
from captum_ilin.modes import gradients_on
from captum_ilin.probe import fixed_random_like
from captum_ilin.rule import op_name
from captum_ilin.rules import DEFAULT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.affine import AffineMap
    from captum_ilin.ruletable import RuleTable

__all__ = ["check_affine_map", "check_rule"]


@gradients_on()
def check_rule(
    op: Callable[..., Any],
    *args: Any,
    rules: RuleTable = DEFAULT_RULES,
    reference: tuple[Tensor, Tensor] | None = None,
    tolerance: float | None = None,
    **kwargs: Any,
) -> None:
    """Check the rule of one op at one operating point against every law.

    Args:
        op: the op, called as ``op(*args, **kwargs)``; it must have a rule.
        args, kwargs: its arguments. The tensors that require gradients are active; if none
            does, the first floating-point tensor is.
        rules (RuleTable, optional): where the rule is. Default: ``DEFAULT_RULES``.
        reference (optional): (D, c): the dense slope (outputs, active elements) and the
            intercept (outputs,), all outputs and active tensors flattened and joined.
        tolerance (float, optional): largest relative error. Default: by dtype, 1e-11 in
            float64.

    Raises:
        LawError: a law is broken; the message says which, where and by how much.
        UnregisteredOpError: the op has no rule.

    Cost: one backward pass for each element of the output.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES, check_rule, hold
    >>> z = torch.randn(4, dtype=torch.float64)
    >>> d = torch.diag(torch.sigmoid(z))
    >>> check_rule(torch.nn.functional.silu, z, reference=(d, torch.zeros(4).double()))
    """
    forward, points = _as_one_row(op, args, kwargs)
    affine_map = linearize(forward, points, rules=rules, strict=True)
    name = op_name(op)
    certificate = certify(affine_map)
    limit = tolerance_for(certificate.precision) if tolerance is None else tolerance
    _check_certificate(certificate, name, limit)
    _check_adjointness(affine_map, name, limit)
    if reference is not None:
        _check_reference(affine_map, reference, name, limit)


@gradients_on()
def check_affine_map(affine_map: AffineMap, *, tolerance: float | None = None) -> Certificate:
    """Check a map against every law that needs no reference.

    Args:
        affine_map: what ``linearize`` returned.
        tolerance (float, optional): largest relative error. Default: by dtype, 1e-11 in
            float64 and 1e-4 in float32.

    Returns:
        Certificate: the measured errors.

    Raises:
        LawError: a law is broken; the message says which and by how much.

    Cost: one frozen forward pass for each row, and some backward passes.

    >>> import torch
    >>> from captum_ilin import check_affine_map, linearize
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> certificate = check_affine_map(linearize(model, torch.randn(3, 3)))
    >>> certificate.rules
    'DEFAULT_RULES'
    """
    certificate = certify(affine_map)
    limit = tolerance_for(certificate.precision) if tolerance is None else tolerance
    _check_certificate(certificate, "the map", limit)
    _check_adjointness(affine_map, "the map", limit)
    _check_batch_independence(affine_map, limit)
    return certificate


def _as_one_row(
    op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """The op as a function of its active tensors, everything in one row of a batch."""
    flat = tensors((args, kwargs))
    positions = [i for i, tensor in enumerate(flat) if tensor.requires_grad] or [
        i for i, tensor in enumerate(flat) if tensor.is_floating_point()
    ][:1]

    def forward(*rows: Tensor) -> Tensor:
        values = [row.squeeze(0) for row in rows]
        full_args, full_kwargs = substituted((args, kwargs), positions, values)
        results = map(_as_real, tensors(op(*full_args, **full_kwargs)))
        outputs = [result.reshape(-1) for result in results if result.is_floating_point()]
        return torch.cat(outputs).unsqueeze(0)

    return forward, tuple(flat[position].detach().unsqueeze(0) for position in positions)


def _as_real(result: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones."""
    return torch.view_as_real(result.resolve_conj()) if result.is_complex() else result


def _check_certificate(certificate: Certificate, name: str, limit: float) -> None:
    for law, error in (
        ("value", certificate.value_error),
        ("affinity", certificate.affinity_error),
        ("completeness", certificate.completeness_error),
    ):
        if not error <= limit:
            raise LawError(
                f"{law}: {name} breaks this law by {error:.1e} (allowed {limit:.0e}) under "
                f"{certificate.rules}. {_MEANING[law]}"
            )


_MEANING = {
    "value": "The rule must return the op's own value.",
    "affinity": "The slope depends on the input: pass what the rule freezes through `hold`.",
    "completeness": (
        "The slope times the input plus the constants does not give the value: the rule "
        "detaches something without `hold`, or its intercept is wrong."
    ),
}


def _check_adjointness(affine_map: AffineMap, name: str, limit: float) -> None:
    """Wᵀu from one backward pass, W v from the derivative of another with respect to u."""
    outputs, leaves = affine_map.graph_outputs, affine_map.leaves
    if not outputs.requires_grad:
        return
    left = fixed_random_like(outputs)
    right = [fixed_random_like(leaf) for leaf in leaves]
    pulled = torch.autograd.grad(outputs, leaves, left, retain_graph=True, allow_unused=True)
    along = sum(
        float((p * v).sum()) for p, v in zip(pulled, right, strict=True) if p is not None
    )
    pushed = float((left * _jvp(outputs, leaves, right)).sum())
    size = sum(
        float((p * v).abs().sum()) for p, v in zip(pulled, right, strict=True) if p is not None
    )
    if not abs(along - pushed) <= limit * max(size, abs(pushed)):
        raise LawError(
            f"adjointness: {name} has <u, W v> = {pushed:.6g} but <Wᵀ u, v> = {along:.6g}. "
            "The rule's backward pass is not linear in the vector it is given."
        )


def _jvp(outputs: Tensor, leaves: tuple[Tensor, ...], steps: list[Tensor]) -> Tensor:
    vector = torch.zeros_like(outputs).requires_grad_()
    pulled = torch.autograd.grad(
        outputs, leaves, vector, create_graph=True, retain_graph=True, allow_unused=True
    )
    pairs = [
        (p, v) for p, v in zip(pulled, steps, strict=True) if p is not None and p.requires_grad
    ]
    if not pairs:
        return torch.zeros_like(outputs)
    along, directions = zip(*pairs, strict=True)
    (moved,) = torch.autograd.grad(
        along, vector, directions, allow_unused=True, retain_graph=True
    )
    return torch.zeros_like(outputs) if moved is None else moved


def _check_reference(
    affine_map: AffineMap, reference: tuple[Tensor, Tensor], name: str, limit: float
) -> None:
    each = affine_map.graph_outputs.unsqueeze(-1).flatten(1).unbind(1)
    rows = [torch.cat([w[0].flatten() for w in affine_map._gradients(one)]) for one in each]
    slope = torch.stack(rows)
    intercept = affine_map.bias().reshape(-1)
    for part, wanted, got in (
        ("slope D", reference[0], slope),
        ("intercept c", reference[1], intercept),
    ):
        if wanted.shape != got.shape:
            raise LawError(
                f"reference: the {part} of {name} has shape {tuple(got.shape)}; the "
                f"reference given has {tuple(wanted.shape)}."
            )
        scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
        error = float((wanted - got).abs().max()) if wanted.numel() else 0.0
        if not error <= limit * scale:
            raise LawError(
                f"reference: the {part} of {name} differs from its definition by "
                f"{error:.1e} (allowed {limit * scale:.0e})."
            )


def _check_batch_independence(affine_map: AffineMap, limit: float) -> None:
    """Row i alone gives row i of W, for one random combination of the outputs."""
    rows = affine_map.outputs.shape[0]
    if rows == 1:
        return
    vector = fixed_random_like(affine_map.outputs[:1])
    together = affine_map._gradients(row_sums(affine_map.graph_outputs * vector))
    for row in range(rows):
        alone = _row_alone(affine_map, row)
        gradients = alone._gradients(row_sums(alone.graph_outputs * vector))
        for weight, gradient in zip(together, gradients, strict=True):
            error = float((weight[row] - gradient[0]).abs().max())
            if not error <= limit * max(float(gradient.abs().max()), 1e-300):
                raise LawError(
                    f"batch independence: row {row} of W changes by {error:.1e} when the "
                    "other rows are left out. Call model.eval(), or explain one row at a "
                    "time."
                )


def _row_alone(affine_map: AffineMap, row: int) -> AffineMap:
    rows = affine_map.outputs.shape[0]

    def cut(value: Any) -> Any:
        batched = isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == rows
        return value[row : row + 1] if batched else value

    return linearize(
        affine_map.forward_func,
        tuple(leaf.detach()[row : row + 1] for leaf in affine_map.leaves),
        additional_forward_args=tuple(map(cut, affine_map.constants)),
        rules=affine_map.freezing.rules,
    )
