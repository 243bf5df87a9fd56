"""Functions that choose or mask, of a few features each, in every spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALL"]

nn = torch._C._nn


# Each is a function of (2, 24), whose rows do not mix.
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "max_pool1d": lambda x: F.max_pool1d(x.view(2, 2, 12), 3, 2),
    "torch.max_pool1d": lambda x: torch.max_pool1d(x.view(2, 2, 12), 3, 1, 1),
    "torch.max_pool1d_with_indices": lambda x: torch.max_pool1d_with_indices(
        x.view(2, 2, 12), 3
    )[0],
    "max_pool1d_with_indices": lambda x: F.max_pool1d_with_indices(x.view(2, 2, 12), [3])[0],
    "max_pool1d, indices": lambda x: F.max_pool1d(x.view(2, 2, 12), 3, 2, return_indices=True)[
        0
    ],
    "max_pool2d, overlapping": lambda x: F.max_pool2d(x.view(2, 1, 4, 6), 3, 1, 1),
    "max_pool2d, dilated": lambda x: F.max_pool2d(x.view(2, 1, 4, 6), 2, dilation=(3, 2)),
    "max_pool2d, ceil": lambda x: F.max_pool2d(x.view(2, 1, 4, 6), 3, 2, ceil_mode=True),
    "max_pool2d, unbatched": lambda x: F.max_pool2d(x.view(2, 4, 6), 2),
    "max_pool2d, indices": lambda x: F.max_pool2d(x.view(2, 1, 4, 6), 2, 2, 0, 1, False, True)[
        0
    ],
    "torch.max_pool2d": lambda x: torch.max_pool2d(x.view(2, 1, 4, 6), 3, 1),
    "nn.max_pool2d_with_indices": lambda x: nn.max_pool2d_with_indices(
        x.view(2, 1, 4, 6), [2, 2]
    )[0],
    "max_pool3d": lambda x: F.max_pool3d(x.view(2, 1, 2, 3, 4), 2, 1),
    "torch.max_pool3d": lambda x: torch.max_pool3d(x.view(2, 1, 2, 3, 4), 2, 1),
    "nn.max_pool3d_with_indices": lambda x: nn.max_pool3d_with_indices(
        x.view(2, 1, 2, 3, 4), [2, 2, 2], [1]
    )[0],
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x.view(2, 2, 12), 5),
    "torch.adaptive_max_pool1d": lambda x: torch.adaptive_max_pool1d(x.view(2, 2, 12), 5)[0],
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x.view(2, 1, 4, 6), (3, None)),
    "adaptive_max_pool2d, indices": lambda x: F.adaptive_max_pool2d(
        x.view(2, 1, 4, 6), 3, True
    )[0],
    "nn.adaptive_max_pool2d": lambda x: nn.adaptive_max_pool2d(x.view(2, 1, 4, 6), [3, 2])[0],
    "adaptive_max_pool3d": lambda x: F.adaptive_max_pool3d(x.view(2, 1, 2, 3, 4), 2),
    "fractional_max_pool2d": lambda x: F.fractional_max_pool2d(
        x.view(2, 1, 4, 6), 2, (2, 3), _random_samples=x.new_full((2, 1, 2), 0.5)
    ),
    "nn.fractional_max_pool2d": lambda x: nn.fractional_max_pool2d(
        x.view(2, 1, 4, 6), [2, 2], [2, 3], x.new_full((2, 1, 2), 0.5)
    )[0],
    "fractional_max_pool3d": lambda x: F.fractional_max_pool3d_with_indices(
        x.view(2, 1, 2, 3, 4), 1, (1, 2, 3), _random_samples=x.new_full((2, 1, 3), 0.5)
    )[0],
    "max_unpool1d": lambda x: F.max_unpool1d(
        *F.max_pool1d(x.view(2, 2, 12), 2, return_indices=True), 2
    ),
    "max_unpool2d": lambda x: F.max_unpool2d(
        *F.max_pool2d(x.view(2, 1, 4, 6), 2, return_indices=True), 2
    ),
    "two after each other": lambda x: F.max_pool2d(F.max_pool2d(x.view(2, 1, 4, 6), 2, 1), 2),
}
DIMENSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda x: torch.stack([row.max() for row in x])[:, None],
    "min": lambda x: torch.stack([torch.min(row) for row in x])[:, None],
    "max, dim": lambda x: x.view(2, 4, 6).max(1)[0],
    "max, axis": lambda x: x.view(2, 4, 6).max(axis=-1, keepdims=True).values,
    "max, named": lambda x: torch.max(input=x.view(2, 4, 6), dim=1).values,
    "min, dim": lambda x: torch.min(x.view(2, 4, 6), dim=2, keepdim=True).values,
    "amax": lambda x: x.view(2, 4, 6).amax((1, 2)),
    "amax, kept": lambda x: torch.amax(x.view(2, 2, 3, 4), (1, -1), keepdim=True),
    "amin": lambda x: x.view(2, 4, 6).amin(dim=1),
    "amin of a number": lambda x: torch.stack([row[0].amin() for row in x])[:, None],
    "aminmax": lambda x: torch.cat(list(torch.aminmax(x.view(2, 4, 6), dim=1)), 1),
    "aminmax of all": lambda x: torch.stack([torch.stack(list(row.aminmax())) for row in x]),
    "cummax": lambda x: torch.cummax(x, 1).values,
    "cummin": lambda x: x.view(2, 4, 6).cummin(1)[0],
    "mode": lambda x: x.view(2, 4, 6).mode(2)[0],
    "mode of repeated": lambda x: torch.mode(x.view(2, 4, 6).repeat(1, 1, 2), 2)[0],
    "sort": lambda x: x.sort(1)[0],
    "sort, other dim": lambda x: (
        torch.sort(x.view(2, 6, 4), dim=1, descending=True, stable=True).values
    ),
    "sort, first dim": lambda x: x.t().sort(0)[0].t(),
    "msort": lambda x: torch.msort(x.t()).t(),
    "topk": lambda x: x.topk(5, 1)[0],
    "topk, smallest": lambda x: torch.topk(x.view(2, 4, 6), 2, dim=1, largest=False).values,
    "topk, not in order": lambda x: torch.topk(x, 3, sorted=False)[0],
    "kthvalue": lambda x: x.kthvalue(7)[0],
    "kthvalue, kept": lambda x: torch.kthvalue(x.view(2, 4, 6), 2, 1, keepdim=True)[0],
    "median": lambda x: x.view(2, 4, 6).median(1)[0],
    "median of all": lambda x: torch.stack([torch.median(row) for row in x])[:, None],
    "nanmedian": lambda x: x.view(2, 4, 6).nanmedian(2, keepdim=True)[0],
    "nanmedian of all": lambda x: torch.stack([row.nanmedian() for row in x])[:, None],
    "quantile": lambda x: x.quantile(0.3, 1),
    "quantile, levels": lambda x: torch.quantile(
        x.view(2, 4, 6), x.new_tensor([0.1, 0.5, 1.0]), dim=1, keepdim=True
    ).movedim(0, -1),
    "quantile of all": lambda x: torch.stack([row.quantile(0.77) for row in x])[:, None],
    "quantile, nearest": lambda x: x.quantile(0.3, -1, interpolation="nearest"),
    "quantile, midpoint": lambda x: x.quantile(0.3, -1, True, interpolation="midpoint"),
    "nanquantile": lambda x: x.nanquantile(0.3, 1),
}
PAIRS: dict[str, Callable[[Tensor], Tensor]] = {
    "maximum": lambda x: torch.maximum(x[:, :12], x[:, 12:]),
    "minimum": lambda x: x[:, :12].minimum(x[:, 12:]),
    "max": lambda x: torch.max(x[:, :12], x[:, 12:]),
    "max, named": lambda x: torch.max(x[:, :12], other=x[:, 12:]),
    "min": lambda x: x[:, :12].min(x[:, 12:]),
    "fmax": lambda x: torch.fmax(x[:, :12], x[:, 12:13]),
    "fmin": lambda x: torch.fmin(x[:, 12:13], x[:, 12:]),
    "of a constant": lambda x: torch.maximum(x, torch.linspace(-1, 1, 24).to(x.dtype)),
    "of a constant first": lambda x: torch.minimum(x.new_zeros(()), x),
    "of a constant made from the input": lambda x: torch.maximum(x, x.detach().roll(1, 1)),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "clamp_": lambda x: (x * 1).clamp_(-0.5, 0.5),
    "clamp, crossed": lambda x: torch.clamp(x, 0.5, -0.5) + x,
    "clamp, one side": lambda x: torch.clip(x, max=0.5),
    "clamp, tensors": lambda x: x.clamp(x.new_full((24,), -0.5), x.new_full((24,), 0.5)),
    "clamp, active": lambda x: torch.clamp(x[:, :12], x[:, 12:] - 1, x[:, 12:].square()),
    "clamp_, active": lambda x: (x * 1).clamp_(x.roll(1, 1), x.roll(3, 1)),
    "clamp_min": lambda x: x[:, :12].clamp_min(x[:, 12:]),
    "clamp_max_": lambda x: (x * 1).clamp_max_(max=x.roll(1, 1)),
    "threshold": lambda x: F.threshold(x, 0.3, -1.0),
    "copysign": lambda x: torch.copysign(x[:, :12], x[:, 12:]),
    "copysign_": lambda x: (x * 1).copysign_(x.roll(1, 1)),
    "copysign of one": lambda x: x.copysign(torch.linspace(-1, 1, 24)),
}


def written(x: Tensor) -> Tensor:
    y = x * 1
    y[x > 0] = -0.3
    return y


def filled(x: Tensor) -> Tensor:
    y = x.new_full((2, 24), 2.0)
    y[torch.arange(2)[:, None], x.detach().argmax(1, True)] = x[:, :1]
    return y


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "mul": lambda x: x * (x > 0),
    "mul, mask first": lambda x: (x > 0).double() * x,
    "mul_": lambda x: (x * 1).mul_(x > 0),
    "mul, named": lambda x: torch.mul(input=x, other=(x > 0).double()),
    "mul, of a bounded product": lambda x: torch.sigmoid(x) * x.detach(),
    "div": lambda x: x / (1 + x.detach().square()),
    "sub of detached": lambda x: x - x.detach().mean(1, keepdim=True),
    "rsub of detached": lambda x: x.detach().mean(1, keepdim=True) - x,
    "add_ of a number": lambda x: (x * 1).add_(x.max().item()),
    "add of two": lambda x: torch.add(x, x.sin()) + x.detach().exp(),
    "broadcast": lambda x: x[:, :1] * (x > 0) + x,
    "where": lambda x: torch.where(x > 0.2, x, x.square()),
    "where, number": lambda x: torch.where(x > 0, x, 0.0),
    "where, number first": lambda x: torch.where(x > 0, -1.0, x),
    "Tensor.where": lambda x: x.where(x > 0, x.roll(1, 1)),
    "masked_fill": lambda x: x.masked_fill(x > 0, -3.0),
    "masked_fill_": lambda x: (x * 1).masked_fill_(x < 0, 3),
    "masked_fill, active": lambda x: torch.stack(
        [row.masked_fill(row > 0, row[3]) for row in x]
    ),
    "masked_scatter": lambda x: torch.stack(
        [row.masked_scatter(row > 0, row.square()) for row in x]
    ),
    "setitem": written,
    "setitem, constant": filled,
    "hand-written softmax": lambda x: (
        (x - x.max(1, True)[0].detach()).exp()
        / (x - x.max(1, True)[0].detach()).exp().sum(1, True)
    ),
    "gather": lambda x: x.gather(1, x.detach().argsort(1)),
    "gather of another": lambda x: (x.square() - 1).gather(1, x.argsort(1)),
    "take_along_dim": lambda x: torch.take_along_dim(x, x.argsort(1), 1),
    "getitem": lambda x: x[torch.arange(2), x.argmax(1)][:, None],
    "index_select": lambda x: torch.stack([row.index_select(0, row.argsort()) for row in x]),
    "take": lambda x: torch.stack([row.take(row.argmin()) for row in x])[:, None],
    "masked_select": lambda x: torch.stack([row[row > row.median()] for row in x]),
    "index_put": lambda x: torch.stack(
        [row.index_put((row.argmax()[None],), row[:1] * 2) for row in x]
    ),
    "int": lambda x: torch.stack([row[int(row.argmax())] for row in x])[:, None],
    "select of an item": lambda x: torch.stack(
        [torch.select(row, 0, row.argmin().item()) for row in x]
    )[:, None],
    "complex": lambda x: torch.view_as_real(
        torch.complex(x, x.roll(1, 1)) * torch.complex((x > 0).to(x.dtype), x.detach())
    ),
    "scatter": lambda x: torch.zeros_like(x).scatter(1, x.topk(3, 1)[1], x.topk(3, 1)[0]),
    "index_fill_": lambda x: torch.stack(
        [(row * 1).index_fill_(0, row.argmax(), 2.0) for row in x]
    ),
}
ALL: dict[str, Callable[[Tensor], Tensor]] = {
    f"{family}: {name}": function
    for family, functions in {
        "pools": POOLS,
        "dimensions": DIMENSIONS,
        "pairs": PAIRS,
        "masks": MASKS,
    }.items()
    for name, function in functions.items()
}
