"""The map of a model in DistributedDataParallel, between training steps: one process of one.

``python -m tests.surroundings.distributed STORE``
"""

from __future__ import annotations

import os
import sys

import torch
from torch import nn

from captum_ilin import linearize
from tests.networks import smooth_mlp


def main(store: str) -> None:
    torch.manual_seed(0)
    network, x = smooth_mlp(), torch.randn(4, 3, dtype=torch.float64)
    expected = linearize(network, x).weight(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=0, world_size=1
    )
    wrapped = nn.parallel.DistributedDataParallel(network)
    for _ in range(3):
        assert torch.equal(linearize(wrapped, x).weight(1), expected)
        wrapped(x).sum().backward()
    print("equal before, between and after training steps", flush=True)
    os._exit(0)  # the group's threads may wait for each other at the end


if __name__ == "__main__":
    main(sys.argv[1])
