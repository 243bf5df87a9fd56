"""Features: what does not fit is told, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import Saliency
from torch import nn

from captum_ilin.metrics import (
    MetricInputError,
    declared_completeness,
    dummy,
    entropy,
    faithfulness_correlation,
    gini,
    histogram_entropy,
    infidelity,
    local_fidelity,
    max_sensitivity,
    morf,
    relative_input_stability,
    sensitivity_n,
    spearman,
)

if TYPE_CHECKING:
    from collections.abc import Callable

X = torch.rand(2, 4)


def total(*parts: torch.Tensor) -> torch.Tensor:
    return torch.stack([part.sum(1) for part in parts]).sum(0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"feature_mask": torch.tensor([[0, 1, -1, 2]])},
            "feature_mask holds -1; expected the",
        ),
        ({"feature_mask": (X.long(), X.long())}, "feature_mask: expected one tensor for each"),
        (
            {"attributions": (X, X)},
            "attributions: expected one tensor for each input, 1, got 2",
        ),
        (
            {"inputs": (X, X[:1])},
            r"There are tensors of shape \[\(2, 4\), \(1, 4\)\]; expected",
        ),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(MetricInputError, match=said):
        morf(**{"forward_func": total, "inputs": X, "attributions": X} | options)


NONE = X[:0]
MEASURES: list[Callable[[], Any]] = [
    lambda: morf(total, NONE, NONE),
    lambda: faithfulness_correlation(total, NONE, NONE),
    lambda: sensitivity_n(total, NONE, NONE, sizes=1),
    lambda: dummy(total, NONE, NONE),
    lambda: infidelity(total, NONE, NONE, multiply_by_inputs=True),
    lambda: declared_completeness(total, NONE, NONE, offset=0.0),
    lambda: local_fidelity(nn.Linear(4, 1), NONE),
    lambda: max_sensitivity(Saliency, nn.Linear(4, 1), NONE),
    lambda: relative_input_stability(Saliency, nn.Linear(4, 1), NONE),
    lambda: spearman(NONE, NONE),
    lambda: gini(NONE),
    lambda: entropy(NONE),
    lambda: histogram_entropy(NONE),
]


@pytest.mark.parametrize("measure", MEASURES)
def test_no_examples_are_told(measure: Callable[[], Any]) -> None:
    with pytest.raises(MetricInputError, match=r"expected .*1 or more"):
        measure()
