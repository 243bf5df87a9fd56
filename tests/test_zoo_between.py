"""Between two points every architecture of the zoo closes the sum, without a line for it."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin import BaselinePathError
from comparisons.zoo import ARCHITECTURES, Architecture
from comparisons.zoo.between import Difference, measure_between

# What the project promises of every architecture.
ERROR = 1e-10
SINGLE_PRECISION_ERROR = 1e-4

# Of a library's own code, where it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")

# The number of tokens that each expert gets depends on the values, and is another at x'.
EXPERTS = (
    *("MixtralForCausalLM", "Qwen3MoeForCausalLM", "GptOssForCausalLM"),
    *("Qwen3NextForCausalLM", "SwitchTransformersForConditionalGeneration"),
)
ROUTED = "DeepseekV3ForCausalLM"  # as many tokens at both points, but others
OTHERS = [a for a in ARCHITECTURES if a.name not in (*EXPERTS, ROUTED)]
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
@pytest.mark.parametrize("architecture", OTHERS, ids=lambda a: a.name)
def test_architecture_closes_the_sum(architecture: Architecture) -> None:
    assert_closes(measured(architecture))


@pytest.mark.filterwarnings("ignore:Differs between the two points")  # in float32, at a tie
@pytest.mark.parametrize("name", EXPERTS)
def test_experts_that_get_other_tokens(name: str) -> None:
    """Refused, and exact where the baseline is near enough to send them the same way."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(BaselinePathError, match="how much is selected depends on the values"):
        measure_between(BY_NAME[name])
    found = measure_between(BY_NAME[name], share=1e-3)
    assert found.unregistered == {}
    assert found.error <= ERROR
    assert found.change > 1e-5


@pytest.mark.filterwarnings("ignore:Differs between the two points")
def test_experts_that_get_as_many_tokens_but_others() -> None:
    """It closes the sum, and says that masks and indices are others."""
    found = measured(BY_NAME[ROUTED])
    assert set(found.unregistered) == {"masked_fill", "index_add_"}
    assert found.error <= ERROR


@pytest.mark.parametrize("name", FAST)
def test_a_few_close_the_sum(name: str) -> None:
    assert_closes(measured(BY_NAME[name]))
