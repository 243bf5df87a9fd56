"""Networks with ground truth are what they say."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from comparisons.models import synthetic, synthetic_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparisons.models.network import Network

ADDITIVE = [synthetic.linear, synthetic.additive, synthetic.additive_gelu]
ALL = [*ADDITIVE, synthetic.xor, synthetic_images.patch, synthetic_images.grid]


def explained(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    outputs = network.model(inputs).double()
    return outputs.gather(1, network.targets[:, None])[:, 0]


@pytest.mark.parametrize("load", ADDITIVE)
def test_true_contributions_add_up_in_every_order(load: Callable[[], Network]) -> None:
    network = load()
    assert network.contributions is not None
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()
    inputs = torch.zeros_like(network.inputs)
    for feature in order:
        before = explained(network, inputs)
        inputs[:, feature] = network.inputs[:, feature]
        added = explained(network, inputs) - before
        # float32: a few dozen products of magnitude up to 20
        torch.testing.assert_close(
            added, network.contributions[:, feature], rtol=0, atol=100 * 20 * 2**-24
        )


def test_a_linear_networks_contributions_are_its_weights_times_its_inputs() -> None:
    network = synthetic.linear()
    weight = network.model.get_submodule("0").weight
    assert isinstance(weight, torch.Tensor)
    expected = (weight[network.targets] * network.inputs).double()
    assert network.contributions is not None
    torch.testing.assert_close(network.contributions, expected, rtol=0, atol=20 * 2**-20)


def test_xor_is_exclusive_or_and_ignores_the_rest() -> None:
    network = synthetic.xor()
    for corner in itertools.product((0.0, 1.0), repeat=4):
        logits = network.model(torch.tensor([corner]))
        assert int(logits.argmax()) == int(corner[0]) ^ int(corner[1])
    assert network.contributions is None


def test_only_the_patch_moves_the_output() -> None:
    network = synthetic_images.patch()
    assert network.masks is not None
    assert torch.equal(network.model(network.inputs).argmax(1), network.targets)
    assert (network.masks.sum((1, 2, 3)) == 48).all()
    noise = network.baselines["noise"]
    changed = torch.where(network.masks, network.inputs, noise)
    # The noise beside a patch is in the matches of shifted places, all below the threshold.
    torch.testing.assert_close(network.model(changed), network.model(network.inputs))
    removed = torch.where(network.masks, noise, network.inputs)
    assert (network.model(removed) == 0).all()


def test_a_grids_cell_holds_the_explained_patch() -> None:
    network = synthetic_images.grid()
    assert network.masks is not None
    assert (network.masks.double().mean((1, 2, 3)) == 0.25).all()
    alone = network.model(torch.where(network.masks, network.inputs, torch.zeros(())))
    assert torch.equal(alone.argmax(1), network.targets)
    others = network.model(torch.where(network.masks, torch.zeros(()), network.inputs))
    assert (others.gather(1, network.targets[:, None]) < 0).all()


@pytest.mark.parametrize("load", ALL)
def test_fields_fit_the_inputs(load: Callable[[], Network]) -> None:
    network = load()
    shape = network.inputs.shape
    assert network.dataset == "synthetic"
    assert len(network.weights_hash) == 64
    assert len(network.labels) == len(network.targets) == len(network.inputs) == 32
    for name, baseline in network.baselines.items():
        assert baseline.shape[1:] == shape[1:]
        assert len(baseline) in (1, len(network.inputs))
        assert name == "zero" or float(baseline[0].std()) > 0
    assert {"zero", "mean"} < set(network.baselines)
    if network.masks is not None:
        assert network.masks.shape == shape
    if network.feature_mask is not None:
        assert network.feature_mask.shape == (1, *shape[1:])
        assert len(network.feature_mask.unique()) == 64
        channels = network.feature_mask[0]
        assert (channels == channels[:1]).all()
    assert load().weights_hash == network.weights_hash
