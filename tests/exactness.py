"""What the project promises of every network, measured on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from captum_ilin import in_double, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin import AffineMap

VALUE_ERROR = 1e-12
COMPLETENESS_ERROR = 1e-10
SINGLE_PRECISION_ERROR = 1e-4


def certify(
    forward_func: Callable[..., Tensor], model: nn.Module, inputs: Tensor, *constants: Any
) -> AffineMap:
    """Exact in float32 and, with the model made float64, in float64, whose map is returned."""
    single = linearize(forward_func, inputs, additional_forward_args=constants, strict=True)
    certificate = single.certificate()
    assert certificate.value_error <= SINGLE_PRECISION_ERROR
    assert certificate.completeness_error <= SINGLE_PRECISION_ERROR
    model.double()
    return certify_in_double(forward_func, inputs.double(), *constants)


def certify_in_double(
    forward_func: Callable[..., Tensor], inputs: Tensor, *constants: Any
) -> AffineMap:
    affine_map = linearize(
        in_double(forward_func), inputs, additional_forward_args=constants, strict=True
    )
    certificate = affine_map.certificate()
    assert certificate.value_error <= VALUE_ERROR
    assert certificate.affinity_error == 0
    assert certificate.completeness_error <= COMPLETENESS_ERROR
    assert not certificate.unregistered
    assert_largest_output_adds_up(affine_map, inputs)
    return affine_map


def assert_largest_output_adds_up(affine_map: AffineMap, inputs: Tensor) -> None:
    """F = <W, x> + b relative to F alone, where a lost <W, x> would be noticed."""
    target = affine_map.outputs.argmax(1)
    value = affine_map.outputs.amax(1)
    weight = affine_map.weight(target)
    assert isinstance(weight, Tensor)
    total = (weight * inputs).flatten(1).sum(1)
    error = (total + affine_map.bias(target) - value).abs()
    assert (total.abs() > 1e4 * COMPLETENESS_ERROR * value.abs()).all()
    assert (error <= COMPLETENESS_ERROR * value.abs()).all()
