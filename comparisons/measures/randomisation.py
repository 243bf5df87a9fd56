"""Randomisation: do attributions notice that what the network learned is gone?

A sanity check against a null, not a ranking. Two networks that share nothing trained still
give maps that are alike (an input multiplier alone brings |ρ| to .9 on digits), so a lower
similarity is not simply better, and every quantity is descriptive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.metrics import (
    Direction,
    data_randomisation,
    efficient_mprt,
    mprt,
    random_logit,
    randomisable_layers,
    smooth_mprt,
)
from comparisons.measures.measure import Measure, Value, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from captum_ilin.metrics import Cascade, Entries, Scores
    from comparisons.measures.measure import Case
    from comparisons.methods.method import Method
    from comparisons.models.network import Network

__all__ = ["MEASURES", "evenly"]

SIMILARITIES = ("spearman", "abs_spearman", "ssim", "hog")
RANKS = ["spearman", "abs_spearman"]


def _mprt(case: Case, *, layers: int, **parameters: Any) -> Iterator[Value]:
    return _values(
        mprt(
            case.explain,
            case.model,
            case.inputs,
            target=case.target,
            layers=_layers(case, layers),
            seed=case.seed,
            **parameters,
        )
    )


def _smooth_mprt(case: Case, *, layers: int, **parameters: Any) -> Iterator[Value]:
    return _values(
        smooth_mprt(
            case.explain,
            case.model,
            case.inputs,
            target=case.target,
            layers=_layers(case, layers),
            seed=case.seed,
            **parameters,
        )
    )


def _layers(case: Case, count: int) -> tuple[str, ...]:
    return evenly(randomisable_layers(case.model, case.inputs), count)


def evenly(layers: Sequence[str], count: int) -> tuple[str, ...]:
    """At most ``count`` layers at even distances, the first and the last among them.

    >>> evenly("abcdefg", 3)
    ('a', 'd', 'g')
    """
    if count >= len(layers):
        return tuple(layers)
    if count == 1:
        return (layers[-1],)
    return tuple(layers[round(i * (len(layers) - 1) / (count - 1))] for i in range(count))


def _values(cascade: Cascade) -> Iterator[Value]:
    for name, entries in cascade.similarities.items():
        for seed in range(len(entries.values)):
            for place, layer in enumerate(cascade.layers):
                yield from _at(entries, seed, place, quantity=name, layer=layer)
    for name, entries in cascade.null.items():
        for seed in range(len(entries.values)):
            yield from _at(entries, seed, quantity=f"null_{name}")


def _at(
    entries: Entries, seed: int, *place: int, quantity: str, layer: str | None = None
) -> list[Value]:
    return values_of(entries.at(seed, *place), quantity, layer=layer, seed=seed)


def _efficient_mprt(case: Case, **parameters: Any) -> list[Value]:
    return values_of(
        efficient_mprt(
            case.explain,
            case.model,
            case.inputs,
            target=case.target,
            seed=case.seed,
            **parameters,
        )
    )


def _data_randomisation(case: Case, **parameters: Any) -> list[Value]:
    assert case.network.twin is not None
    found = data_randomisation(
        case.explain,
        case.model,
        case.network.twin,
        case.inputs,
        target=case.target,
        seed=case.seed,
        **parameters,
    )
    return _by_name(found)


def _random_logit(case: Case, *, draws: int, **parameters: Any) -> list[Value]:
    found = random_logit(
        case.explain,
        case.model,
        case.inputs,
        target=case.target,
        draws=min(draws, _outputs(case.network) - 1),
        seed=case.seed,
        **parameters,
    )
    return _by_name(found)


def _by_name(found: Mapping[str, Scores]) -> list[Value]:
    return [value for name, scores in found.items() for value in values_of(scores, name)]


@torch.no_grad()
def _outputs(network: Network) -> int:
    return int(network.model(network.inputs[:1]).shape[1])


def _without_twin(method: Method, network: Network) -> str | None:
    if network.twin is None:
        return f"{network.name} has no twin that was trained on permuted labels."
    return None


def _without_another_output(method: Method, network: Network) -> str | None:
    if _outputs(network) < 2:
        return f"{network.name} has one output, so there is no other to explain."
    return None


def _cascade_attributions(parameters: Mapping[str, Any]) -> int:
    steps = parameters["layers"] + 2 * parameters["null"]
    return int(parameters.get("draws", 1) * (1 + parameters["seeds"] * steps))


def _descriptive(*quantities: str) -> dict[str, Direction]:
    return dict.fromkeys(quantities, Direction.DESCRIPTIVE)


CASCADE = _descriptive(*SIMILARITIES, *(f"null_{name}" for name in SIMILARITIES))
CASCADE_DEFAULTS = {
    "order": "top_down",
    "seeds": 5,
    "similarities": RANKS,
    "null": True,
    "layers": 6,
    "batch_norm": "reset",
}

MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "mprt",
            "randomisation",
            CASCADE,
            _mprt,
            "sim(φ(F), φ(F with layers randomised)), and of two random networks (Adebayo 2018)",
            defaults=CASCADE_DEFAULTS,
            attributions=_cascade_attributions,
        ),
        Measure(
            "smooth_mprt",
            "randomisation",
            CASCADE,
            _smooth_mprt,
            "mprt of attributions averaged over noisy inputs (Hedström 2024)",
            defaults={**CASCADE_DEFAULTS, "draws": 20, "noise": 0.1},
            attributions=_cascade_attributions,
        ),
        Measure(
            "efficient_mprt",
            "randomisation",
            _descriptive(""),
            _efficient_mprt,
            "(ξ(φ(F̂)) − ξ(φ(F))) / ξ(φ(F)), ξ the histogram's entropy (Hedström 2024)",
            defaults={"seeds": 5, "bins": 100, "batch_norm": "reset"},
            attributions=lambda parameters: 1 + int(parameters["seeds"]),
        ),
        Measure(
            "data_randomisation",
            "randomisation",
            _descriptive(*SIMILARITIES),
            _data_randomisation,
            "sim(φ(F), φ(F')), F' trained on permuted labels (Adebayo 2018)",
            defaults={"similarities": RANKS},
            undefined=_without_twin,
            attributions=lambda parameters: 2,
        ),
        Measure(
            "random_logit",
            "randomisation",
            _descriptive(*SIMILARITIES),
            _random_logit,
            "sim(φ(F_t), φ(F_t')), t' ≠ t at random (Sixt 2020)",
            defaults={"similarities": RANKS, "draws": 5},
            undefined=_without_another_output,
            attributions=lambda parameters: 1 + int(parameters["draws"]),
        ),
    )
}
