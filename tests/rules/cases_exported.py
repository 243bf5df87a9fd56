"""Cases of the ops that exported programs call."""

from __future__ import annotations

import torch

from tests.rules import references as ref
from tests.rules.cases import active, case
from tests.rules.cases_structural import index, moves

aten = torch.ops.aten

moves((aten.slice.Tensor,), 0, 1, 3, shape=(4, 3))
moves((aten.alias.default, aten._to_copy.default, aten.lift_fresh_copy.default))
moves((aten._unsafe_view.default,), [3, 2], shape=(2, 3))
case((aten.index.Tensor,), lambda: (active(3, 2), [index(2, 0, 2)]), ref.affine)
case(
    (aten._softmax.default, aten._log_softmax.default),
    lambda: (active(2, 4), -1, False),
    ref.tangent,
)
