"""What the parts of a layer's map add up to, in every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from captum_ilin import LayerMap

__all__ = ["COMPLETENESS_ERROR", "assert_layer_laws", "sum_error"]

COMPLETENESS_ERROR = 1e-10  # what the project promises, relative to the parts of the sum


def assert_layer_laws(layer: LayerMap, target: Any) -> None:
    """Sums, values and products are those of the map the layer is a view of."""
    assert sum_error(layer, target) <= COMPLETENESS_ERROR
    _assert_values(layer)
    _assert_composed(layer)


def sum_error(layer: LayerMap, target: Any) -> float:
    """The largest error of a row's sum, and of a unit's two shares."""
    found = layer.contributions(target)
    affine_map = layer.affine_map
    value = affine_map.outputs[:, target]
    sums = [found.through, found.around_features, found.around_bias]
    size = torch.stack([value, *sums]).abs().amax(0)
    error = float(((sum(sums) - value).abs() / size).max())
    for units, features, bias in zip(*map(_parts, found[:3]), strict=True):
        size = torch.stack([units, features, bias]).abs().max()
        if size:
            error = max(error, float((features + bias - units).abs().max() / size))
    total = sum(units.sum() for units in _parts(found.units))
    reach = sum(units.abs().sum() for units in _parts(found.units)) or 1.0
    return max(error, float((total - found.through.sum()).abs() / reach))


def _assert_values(layer: LayerMap) -> None:
    """a = W_below x + b_below, F = W_above a + W_around x + b_around."""
    x, F = layer.affine_map.inputs, layer.affine_map.outputs
    products = _parts(layer.below @ x)
    for value, product, bias in zip(
        _parts(layer.value), products, _parts(layer.below_bias), strict=True
    ):
        _assert_close(product + bias, value, value, product, bias)
    terms = [layer.above @ layer.value, layer.around @ x, layer.around_bias]
    _assert_close(sum(terms), F, F, *terms)


def _assert_composed(layer: LayerMap) -> None:
    """W = W_above W_below + W_around both ways, and b = W_above b_below + b_around."""
    affine_map = layer.affine_map
    W = affine_map.operator()
    u = torch.randn_like(affine_map.outputs)
    row = zip(
        *map(_parts, (u @ W, (u @ layer.above) @ layer.below, u @ layer.around)), strict=True
    )
    for whole, through, around in row:
        _assert_close(through + around, whole, whole, through, around)
    v = tuple(torch.randn_like(part) for part in _parts(affine_map.inputs))
    v = v if isinstance(affine_map.inputs, tuple) else v[0]
    through, around = layer.above @ (layer.below @ v), layer.around @ v
    _assert_close(through + around, W @ v, W @ v, through, around)
    through = layer.above @ layer.below_bias
    b = affine_map.bias().reshape(affine_map.outputs.shape)
    _assert_close(through + layer.around_bias, b, b, through, layer.around_bias)


def _assert_close(got: Tensor, wanted: Tensor, *terms: Tensor) -> None:
    size = max(float(term.abs().max()) for term in terms)
    assert float((got - wanted).abs().max()) <= COMPLETENESS_ERROR * size


def _parts(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)
