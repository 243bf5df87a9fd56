"""Between two points every architecture of the zoo closes the sum, without a line for it."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.zoo import ARCHITECTURES, Architecture
from comparisons.zoo.between import Difference, measure_between

# What the project promises of every architecture.
ERROR = 1e-10
SINGLE_PRECISION_ERROR = 1e-4

# Of a library's own code, where it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
FAST = ("mobilenet_v3_small", "BertForMaskedLM (sdpa)", "LlamaForCausalLM (eager)")


def measured(architecture: Architecture) -> Difference:
    pytest.importorskip(architecture.library, reason=f"{architecture.library} is not installed")
    return measure_between(architecture)


def assert_closes(found: Difference) -> None:
    assert found.unregistered == {}
    assert found.error <= ERROR
    assert found.map_error <= ERROR
    assert found.single_error <= SINGLE_PRECISION_ERROR
    assert found.change > 1e-4  # an error would show


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_architecture_closes_the_sum(architecture: Architecture) -> None:
    assert_closes(measured(architecture))


@pytest.mark.parametrize("name", FAST)
def test_a_few_close_the_sum(name: str) -> None:
    assert_closes(measured(BY_NAME[name]))
