"""What convolutions take for themselves, against every allocation PyTorch makes."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import profile

from captum_ilin.workspace import workspace
from tests.test_rows import peak

# batch, channels in and out, kernel, stride, groups, image
SHAPES = [
    *((1, 3, 64, 7, 2, 1, 112), (8, 3, 64, 7, 2, 1, 112), (8, 64, 64, 3, 1, 1, 56)),
    *((1, 512, 512, 3, 1, 1, 7), (16, 512, 512, 3, 1, 1, 7), (4, 96, 96, 3, 1, 96, 56)),
    (1, 3, 384, 16, 16, 1, 224),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_backward_pass_takes_no_more_than_is_estimated(shape: tuple[int, ...]) -> None:
    batch, channels, out, kernel, stride, groups, image = shape
    padding = [kernel // 2 if stride < 8 else 0] * 2
    x = torch.randn(batch, channels, image, image)
    weight = torch.randn(out, channels // groups, kernel, kernel)
    how = ([stride] * 2, padding, [1, 1], False, [0, 0], groups)
    y = torch.convolution(x, weight, None, *how)
    shape_alone = x.new_empty(1).expand(x.shape)
    args = (torch.ones_like(y), shape_alone, weight, None, *how, [True, False, False])
    with profile(profile_memory=True) as profiler:
        torch.ops.aten.convolution_backward(*args)
    taken = peak(profiler) - x.nbytes
    estimate = workspace(torch.ops.aten.convolution_backward.default, args)
    assert 0.5 * estimate <= taken <= 1.2 * estimate


def test_other_ops_take_nothing() -> None:
    x = torch.randn(4, 4)
    assert workspace(torch.ops.aten.mm.default, (x, x)) == 0
    image, pointwise = torch.randn(1, 4, 5, 5), torch.randn(8, 4, 1, 1)
    assert workspace(torch.ops.aten.convolution.default, (image, pointwise)) == 0
