"""The baselines that a suite names: a name that no network knows is a slip of the pen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.harness.loading import Unavailable
from comparisons.harness.suitetable import SuiteError
from comparisons.measures.removal import lacking
from comparisons.nearest import hint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comparisons.harness.loading import Networks
    from comparisons.harness.suite import MeasureChoice, Suite
    from comparisons.models.network import Network

__all__ = ["expect_baselines"]


def expect_baselines(suite: Suite, networks: Networks) -> None:
    """Refuse a baseline that no network of the suite has; some lacking it is no mistake.

    Raises:
        SuiteError: the measure, the baseline and those there are.
    """
    found = [networks.get((each.name, seed)) for each in suite.models for seed in each.seeds]
    there = [each for each in found if each is not None and not isinstance(each, Unavailable)]
    if len(there) < len(found):
        return  # the network that has it may be one that is not here
    for choice in suite.measures:
        for name in _named(choice):
            if all(lacking(network, name) for network in there):
                raise SuiteError(
                    f"The suite {suite.name}: {choice.label}: unknown baseline {name!r}. "
                    f"{hint(str(name), _names(there))}"
                )


def _named(choice: MeasureChoice) -> tuple[str, ...]:
    named = [choice.parameters[key] for key in ("baseline",) if key in choice.parameters]
    return (*named, *choice.parameters.get("baselines", ()))


def _names(networks: Iterable[Network]) -> list[str]:
    own = [name for network in networks for name in network.baselines]
    return list(dict.fromkeys(["zero", *own, "other"]))
