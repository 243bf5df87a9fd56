"""The peptide networks measured: shares, fields, couplings, what predicts them, readings."""

from __future__ import annotations

import statistics
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import torch

from captum_ilin.companions.categorical import Background, class_gauge, expand
from comparisons.categorical.readings import (
    FIELD,
    MEAN_MAP,
    TARGET,
    agreements,
    correlations,
    logit_of,
)
from comparisons.categorical.records import (
    AgreementRecord,
    CheckRecord,
    FieldRecord,
    NetworkRecord,
    PredictionRecord,
    ShareRecord,
    StrengthRecord,
)
from comparisons.models.network import hash_of
from comparisons.models.peptides import accuracy, peptide_facts, peptide_net
from comparisons.models.peptides_data import GROUPS, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from captum_ilin.companions.categorical import Expansion
    from comparisons.categorical.readings import Readings
    from comparisons.categorical.records import Record

__all__ = [
    "NETWORK",
    "backgrounds",
    "between_seeds",
    "checked",
    "expanded",
    "measured",
    "of_expansion",
    "of_network",
]

NETWORK = "peptides"
CHECKED = (0, 1, 2, 14)  # positions whose every pattern is run, all orders
LETTERS = "CDFGKLMRWS"  # of them: 10⁴ patterns
REPEATS = 40  # of sampling, beside the exact terms


def backgrounds() -> dict[str, Background]:
    """By name: every letter alike, and the training windows' letters."""
    found = (Background.uniform(GROUPS), sample().background)
    return {one.name: one for one in found}


def expanded(seed: int, background: Background, samples: int) -> Expansion:
    """The logit of "antimicrobial" in the class gauge, to order 2, in single precision."""
    return expand(
        peptide_net(seed),
        GROUPS,
        background=background,
        target=TARGET,
        class_gauge=True,
        samples=samples,
        seed=seed,
    )


def of_network(seed: int) -> NetworkRecord:
    """The network of a seed."""
    model, data = peptide_net(seed), sample()
    return NetworkRecord(
        NETWORK,
        seed,
        hash_of(model.state_dict()),
        accuracy(model, data.test, data.test_labels),
        float(str(peptide_facts(seed)["train_accuracy"])),
        float(data.test_labels.bincount().max()) / len(data.test_labels),
    )


def measured(seed: int, found: Expansion, read: Readings) -> Iterator[Record]:
    """All that is measured of an expansion of the network of a seed."""
    yield from of_expansion(NETWORK, seed, found.background.name, found)
    yield from _predictions(seed, peptide_net(seed).double(), found, read)
    yield from agreements(seed, found, read)


def of_expansion(
    network: str, seed: int | None, background: str, found: Expansion
) -> Iterator[Record]:
    """Shares, fields and strengths of one output."""
    variance, errors = found.variance, found.standard_errors
    deviation = float(variance.total.clamp(min=0).sqrt())
    shares = {str(order): share for order, share in variance.shares.items()}
    share_errors = {str(order): each for order, each in (variance.share_errors or {}).items()}
    if found.order < len(found.groups):
        shares["more"] = variance.rest
        if variance.rest_error is not None:
            share_errors["more"] = variance.rest_error
    for order, share in shares.items():
        error = float(share_errors[order]) if order in share_errors else None
        size = (float(found.phi), deviation)
        yield ShareRecord(
            network, seed, background, found.samples, order, float(share), error, *size
        )
    for i, position in enumerate(found.groups.names):
        for a, category in enumerate(found.groups.categories[i]):
            error = None if errors is None else float(errors[i,][a])
            value = float(found.field(i)[a])
            yield FieldRecord(network, seed, background, position, category, value, error)
    strengths = found.strengths()
    for i, first in enumerate(found.groups.names):
        for j, second in list(enumerate(found.groups.names))[i + 1 :]:
            value = float(strengths[i, j])
            yield StrengthRecord(network, seed, background, first, second, value)


def _predictions(
    seed: int, model: nn.Module, expansion: Expansion, found: Readings
) -> Iterator[PredictionRecord]:
    """The network's logit at held-out windows, from something simpler."""
    data = sample()
    inputs = GROUPS.encode(data.test).double()
    with torch.no_grad():
        logits = logit_of(model)(inputs)[:, TARGET]
    mean = (inputs * found.weights.mean(0)).sum((1, 2)) + found.biases.mean()
    by = {
        "φ + Σ h": expansion(inputs, order=1),
        "φ + Σ h + Σ J": expansion(inputs),
        "mean W' and mean b'": mean,
        "W' and b' of each window": (inputs * found.weights).sum((1, 2)) + found.biases,
    }
    for name, values in by.items():
        yield _prediction(
            seed, expansion.background.name, name, values, logits, data.test_labels
        )


def _prediction(
    seed: int, background: str, by: str, values: Tensor, logits: Tensor, labels: Tensor
) -> PredictionRecord:
    error = (values - logits).square().mean() / (logits - logits.mean()).square().mean()
    same = ((values > 0) == (logits > 0)).double().mean()
    right = ((values > 0) == (labels == 1)).double().mean()
    return PredictionRecord(seed, background, by, float(1 - error), float(same), float(right))


def checked(seed: int, samples: int) -> CheckRecord:
    """Every pattern of four positions, the others as in the first held-out window."""
    model, groups = peptide_net(seed).double(), GROUPS.only(CHECKED, letters=LETTERS)
    held = GROUPS.encode(sample().test[:1]).double()
    run = partial(expand, model, groups, target=TARGET, class_gauge=True, held=held)
    exact = run(order=len(groups))
    inputs = groups.encode(torch.cartesian_prod(*map(torch.arange, groups.counts)), held)
    with torch.no_grad():
        values = class_gauge(model(inputs))[:, TARGET]
    scores = torch.cat(
        [_scores(exact, run(samples=samples, seed=number)) for number in range(REPEATS)]
    )
    return CheckRecord(
        seed,
        ", ".join(groups.names),
        exact.evaluations,
        float((exact(inputs) - values).abs().max()),
        _gauge_error(exact),
        samples,
        REPEATS,
        len(scores),
        float((scores.abs() < 1.96).double().mean()),
        float((scores.abs() < 3).double().mean()),
    )


def _scores(exact: Expansion, found: Expansion) -> Tensor:
    """How many standard errors every entry of the estimated terms is off."""
    assert found.standard_errors is not None
    errors = found.standard_errors
    each = ((term - exact.terms[key]) / errors[key] for key, term in found.terms.items())
    return torch.cat([scores.flatten() for scores in each])


def _gauge_error(exact: Expansion) -> float:
    """The largest average of a term over one of its positions."""
    means = (term.mean(axis) for term in exact.terms.values() for axis in range(term.dim()))
    return max(float(mean.abs().max()) for mean in means)


def between_seeds(
    found: dict[int, Expansion], read: dict[int, Readings]
) -> Iterator[AgreementRecord]:
    """The same reading of two networks that learned the same from other beginnings."""
    each = {
        FIELD: {seed: expansion.fields() for seed, expansion in found.items()},
        MEAN_MAP: {seed: one.weights.mean(0) for seed, one in read.items()},
        "mean W as it is": {seed: one.plain.mean(0) for seed, one in read.items()},
    }
    (background,) = {expansion.background.name for expansion in found.values()}
    for name, tables in each.items():
        pairs = list(combinations(tables.values(), 2))
        values = [float(correlations(one[None], other[None])) for one, other in pairs]
        if values:
            yield AgreementRecord(
                None,
                background,
                name,
                f"{name} of another seed",
                statistics.median(values),
                min(values),
                max(values),
                1.0,
            )
