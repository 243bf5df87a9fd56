"""What a layer's attributions, delta and bias add up to."""

from __future__ import annotations

from typing import Any

import torch

from captum_ilin import LayerILIN

__all__ = ["EVERYTHING", "assert_complete"]

EVERYTHING = {"return_convergence_delta": True, "return_bias": True}


def assert_complete(model: Any, layer: Any, x: Any, target: Any = 1, **more: Any) -> None:
    """Attributions, delta and bias agree with the plain network in every row."""
    attributions, delta, bias = LayerILIN(model, layer).attribute(
        x, target, **EVERYTHING, **more
    )
    values = attributions if isinstance(attributions, tuple) else (attributions,)
    total = torch.stack([value.sum() for value in values]).sum() + bias.sum()
    with torch.no_grad():
        expected = model(x)[:, target]
    assert delta.shape == bias.shape == expected.shape
    torch.testing.assert_close(delta, torch.zeros_like(delta), rtol=0, atol=1e-12)
    torch.testing.assert_close(total, expected.sum(), rtol=1e-12, atol=1e-12)
