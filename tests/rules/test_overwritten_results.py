"""A model may write into what an op returned, also where PyTorch needs it for a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, check_affine_map, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

BAG = torch.tensor([[0, 1]])
RESULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "group_norm": lambda x: F.group_norm(x, 3),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: x.softmax(-1),
    "exp": torch.exp,
    "std": lambda x: x.std(-1),
    "prod": lambda x: x.prod(-1),
    "product": lambda x: x * (x + 1),
    "matmul": lambda x: x @ x.transpose(1, 2),
    "gelu": F.gelu,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "largest": lambda x: x.topk(2).values,
    "embedding_bag": lambda x: F.embedding_bag(BAG, x[0]),
    "largest of bag": lambda x: F.embedding_bag(BAG, x[0], mode="max"),
}


def _set_first(y: Tensor) -> None:
    y[..., 0] = 3.0


WRITES: dict[str, Callable[[Tensor], Any]] = {
    "add_": lambda y: y.add_(1.0),
    "mul_": lambda y: y.mul_(2.0),
    "relu_": torch.relu_,
    "setitem": _set_first,
    "view": lambda y: y[..., :1].mul_(0.3),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_overwritten_result(result: Any, write: Any) -> None:
    def forward(x: Tensor) -> Tensor:
        y = result(x)
        write(y)
        return y.reshape(1, -1) * 1.5

    def on_a_copy(x: Tensor) -> Tensor:
        y = result(x).clone()
        write(y)
        return y.reshape(-1) * 1.5

    x = torch.randn(1, 3, 4, dtype=torch.float64)
    check_affine_map(linearize(forward, x, rules=DEFAULT_RULES, strict=True))
    tangents = linearize(forward, x, rules=TANGENT_RULES, strict=True)
    check_affine_map(tangents)
    jacobian = torch.autograd.functional.jacobian(on_a_copy, x)
    assert torch.allclose(tangents.weight(), jacobian[:, 0][None], rtol=0, atol=1e-12)


@pytest.mark.parametrize("op", [F.alpha_dropout, F.feature_alpha_dropout])
@pytest.mark.parametrize("p", [0.3, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_alpha_dropout_of_one_mask(op: Any, p: float, inplace: bool) -> None:
    """The plain op's own mask, and the scale and shift that restore mean and variance."""

    def forward(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return op(x.clone(), p, True, inplace)

    x = torch.randn(2, 3, 5, dtype=torch.float64)
    with pytest.warns(UserWarning, match="dropout ran in training mode"):
        affine_map = linearize(forward, x)
    assert torch.allclose(affine_map.outputs, forward(x), rtol=0, atol=1e-14)
    assert affine_map.check().completeness_error < 1e-14
