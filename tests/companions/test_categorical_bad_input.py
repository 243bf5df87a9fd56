"""What the categorical companion refuses, and what it says then."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin.companions.categorical import (
    Background,
    Expansion,
    Groups,
    energy,
    expand,
    zero_sum_gauge,
)
from captum_ilin.companions.errors import CompanionInputError

GROUPS = Groups.of_positions((3, 4), letters="ACGT")
LAYER = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()


def message_of(action: Any) -> str:
    with pytest.raises(CompanionInputError) as caught:
        action()
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def first(x: Tensor) -> Tensor:
    return x.flatten(1)[:, 0]


DECLARED = {
    "none": (
        lambda: Groups.of_columns(4, {}),
        "There are no groups; expected at least one. Declare the features of each categorical "
        "position: Groups.of_positions or Groups.of_columns.",
    ),
    "empty": (
        lambda: Groups.of_columns(4, {"colour": []}),
        "Group 'colour' has 0 categories; expected at least 2, one feature each. A position "
        "that never varies belongs to no group.",
    ),
    "out of range": (
        lambda: Groups.of_columns(4, {"colour": [2, 3, 4]}),
        "Group 'colour' has feature 4, but an example of shape (4,) has features 0 to 3.",
    ),
    "overlap": (
        lambda: Groups.of_columns(4, {"colour": [0, 1], "size": [1, 2]}),
        "Groups 'colour' and 'size' overlap: both have feature 1. A feature is a category of "
        "one group.",
    ),
    "twice": (
        lambda: Groups.of_columns(4, {"colour": [0, 0]}, categories={"colour": "ab"}),
        "Groups 'colour' and 'colour' overlap: both have feature 0. A feature is a category of "
        "one group.",
    ),
    "names": (
        lambda: Groups.of_positions((3, 4), names=["x", "x", "y"]),
        "There are 3 groups and 2 different names; expected one name for each group, none "
        "twice.",
    ),
    "letters": (
        lambda: Groups.of_positions((3, 4), letters="ACG"),
        "Group '0' has 4 categories and 3 different names of categories; expected one for "
        "each, none twice.",
    ),
    "dimension": (
        lambda: Groups.of_positions((3, 4), categories_dim=2),
        "categories_dim is 2, but one example has the 2 dimensions of shape (3, 4). Leave out "
        "the batch in both.",
    ),
    "no such group": (
        lambda: GROUPS.only([5]),
        "There is no group 5; expected a number from 0 to 2 or one of the names 0, 1, 2.",
    ),
    "no such letter": (
        lambda: GROUPS.only([1], letters="AX"),
        "Group '1' has no category 'X'; expected some of A, C, G, T.",
    ),
    "shape": (
        lambda: GROUPS.decode(torch.zeros(2, 4, 3)),
        "inputs must be one tensor shaped (batch, 3, 4), as the groups were declared, but got "
        "(2, 4, 3).",
    ),
    "all zero": (
        lambda: GROUPS.decode(torch.zeros(2, 3, 4)),
        "Example 0 is not one-hot in group '0': expected one 1 and otherwise 0, but got 0.0, "
        "0.0, 0.0, 0.0. Declare other groups, or pass inputs before any scaling or embedding.",
    ),
    "two ones": (
        lambda: GROUPS.decode(torch.ones(1, 3, 4)),
        "Example 0 is not one-hot in group '0': expected one 1 and otherwise 0, but got 1.0, "
        "1.0, 1.0, 1.0. Declare other groups, or pass inputs before any scaling or embedding.",
    ),
    "a letter left out": (
        lambda: GROUPS.only([0], letters="AC").decode(GROUPS.encode(torch.tensor([[3, 0, 0]]))),
        "Example 0 has feature 3, a category that was left out of the groups by "
        "``only(letters=…)``. Keep its letter.",
    ),
}


@pytest.mark.parametrize(("action", "message"), DECLARED.values(), ids=DECLARED)
def test_groups(action: Any, message: str) -> None:
    assert message_of(action) == message


def given(*rows: list[float]) -> Any:
    return lambda: expand(LAYER, GROUPS, background=[torch.tensor(row) for row in rows])


QUARTER = [0.25] * 4
BACKGROUNDS = {
    "count of positions": (
        given(QUARTER, QUARTER),
        "The background has probabilities for 2 positions, but there are 3 groups. Pass one "
        "row for each group.",
    ),
    "count of categories": (
        given(QUARTER, [0.5, 0.25, 0.25], QUARTER),
        "The background of group '1' is shaped (3,); expected (4,), a probability for each "
        "category.",
    ),
    "sum": (
        given(QUARTER, QUARTER, [0.5] * 4),
        "The background of group '2' is no distribution: expected probabilities from 0 that "
        "add up to 1, but the smallest is 0.5 and the sum 2. Divide counts by their sum.",
    ),
    "negative": (
        given([1.5, -0.5, 0, 0], QUARTER, QUARTER),
        "The background of group '0' is no distribution: expected probabilities from 0 that "
        "add up to 1, but the smallest is -0.5 and the sum 1. Divide counts by their sum.",
    ),
    "not a number": (
        given([float("nan"), 0.5, 0.5, 0], QUARTER, QUARTER),
        "The background of group '0' is no distribution: expected probabilities from 0 that "
        "add up to 1, but the smallest is nan and the sum nan. Divide counts by their sum.",
    ),
    "of other groups": (
        lambda: expand(
            LAYER, GROUPS, background=Background.uniform(Groups.of_positions((3, 5)))
        ),
        "The background of group '0' is shaped (5,); expected (4,), a probability for each "
        "category.",
    ),
}


@pytest.mark.parametrize(("action", "message"), BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_backgrounds(action: Any, message: str) -> None:
    assert message_of(action) == message


LONG = Groups.of_positions((30, 20))
OPTIONS = {
    "too many patterns": (
        lambda: expand(first, GROUPS, max_patterns=50),
        "The 3 groups have 64 patterns, too many to enumerate (at most 50). Sample them: "
        "expand(…, samples=200) estimates the terms with standard errors. Or expand fewer "
        "positions, Groups.only, or allow more with max_patterns.",
    ),
    "far too many patterns": (
        lambda: expand(first, LONG),
        "The 30 groups have 1.1e+39 patterns, too many to enumerate (at most 1,048,576). "
        "Sample them: expand(…, samples=200) estimates the terms with standard errors. Or "
        "expand fewer positions, Groups.only, or allow more with max_patterns.",
    ),
    "too many outputs": (
        lambda: expand(lambda x: x.flatten(1).repeat(1, 100), GROUPS, max_patterns=64),
        "The table of 64 patterns and 1,200 outputs holds 76,800 numbers, too many to keep (at "
        "most 1,024). Choose one output with target=…, sample with samples=…, or allow more "
        "with max_patterns.",
    ),
    "no samples": (
        lambda: expand(first, GROUPS, samples=0),
        "samples must be a number of at least 4, because standard errors are measured between "
        "samples, but got 0. Leave it out to enumerate.",
    ),
    "high order by sampling": (
        lambda: expand(first, GROUPS, samples=10, order=3),
        "By sampling, order must be 0, 1 or 2, but got 3. Enumerate for more: leave out "
        "samples, and expand fewer positions with Groups.only if they are too many.",
    ),
    "negative order": (
        lambda: expand(first, GROUPS, order=-1),
        "order must be a number of positions, 0 or more, but got -1.",
    ),
    "no batch": (
        lambda: expand(first, GROUPS, batch_size=0),
        "batch_size must be at least 1, but got 0. Leave it out for a size that fits.",
    ),
    "features outside": (
        lambda: expand(first, GROUPS.only([0, 2])),
        "4 features of the input belong to no group, the first is 4, and the output may depend "
        "on them too. Pass held=, an input at whose values they are kept, or declare them as "
        "groups.",
    ),
    "held of another shape": (
        lambda: expand(first, GROUPS.only([0]), held=torch.zeros(1, 12)),
        "held must be one tensor shaped (batch, 3, 4), as the groups were declared, but got "
        "(1, 12).",
    ),
    "several held": (
        lambda: expand(first, GROUPS.only([0]), held=torch.zeros(2, 3, 4)),
        "held must be one example of floating-point features, but got 2 of torch.float32. "
        "Choose one: inputs[:1].",
    ),
}


@pytest.mark.parametrize(("action", "message"), OPTIONS.values(), ids=OPTIONS)
def test_options(action: Any, message: str) -> None:
    assert message_of(action) == message


def test_an_output_that_depends_on_chance() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 1))
    found = message_of(lambda: expand(model, GROUPS))
    assert found.startswith("The forward function's output at the same pattern differs by ")
    assert found.endswith(
        " between two runs, so it depends on more than the groups: on chance, or on the other "
        "rows of the batch. Put the model into evaluation mode, or fix what it draws."
    )
    assert model.training  # as the user left it
    expand(model.eval(), GROUPS)


def test_an_output_that_depends_on_the_other_rows() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3)).double()
    before = model[2].running_mean.clone()
    assert "depends on more than the groups" in message_of(lambda: expand(model, GROUPS))
    assert torch.equal(model[2].running_mean, before)  # not even statistics are touched
    assert "depends on more than the groups" in message_of(
        lambda: expand(lambda x: x.sum((1, 2)) + x[:, 0, 0].mean(), GROUPS)
    )


OUTPUTS = {
    "tuple": (
        lambda x: (first(x), 1),
        "The forward function's output must be one tensor with a row for each of the 4 "
        "patterns, but got tuple. Wrap the function so that it returns one.",
    ),
    "one number": (
        lambda x: x.sum(),
        "The forward function's output must be one tensor with a row for each of the 4 "
        "patterns, but got (). Wrap the function so that it returns one.",
    ),
    "logarithm": (
        lambda x: first(x) * float("inf"),
        "The forward function's output has ",
    ),
}


@pytest.mark.parametrize(("forward", "message"), OUTPUTS.values(), ids=OUTPUTS)
def test_outputs(forward: Any, message: str) -> None:
    assert message_of(lambda: expand(forward, GROUPS)).startswith(message)


def test_infinite_values_are_counted() -> None:
    found = message_of(lambda: expand(lambda x: (first(x) - 1).log(), GROUPS, samples=4))
    assert found.endswith(
        "values that are NaN or infinite; averages over patterns need finite ones. Find the "
        "pattern whose output they are, or expand logits instead of their logarithms."
    )


def test_a_layer_that_runs_twice() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Flatten(), relu, nn.Linear(12, 3), relu)
    assert message_of(lambda: expand(model, GROUPS, layer=relu)) == (
        "The layer ran 2 times in a forward pass; expected once. Wrap the model in a function "
        "that returns the call you mean."
    )


def expansion() -> Expansion:
    return expand(LAYER, GROUPS, order=1)


READ = {
    "no couplings": (
        lambda: expansion().coupling(0, 1),
        "This expansion is of order 1 over 3 groups and has no term of 2 positions. Expand "
        "again with order=2.",
    ),
    "no strengths": (
        lambda: expansion().strengths(),
        "This expansion is of order 1 over 3 groups and has no term of 2 positions. Expand "
        "again with order=2.",
    ),
    "one position twice": (
        lambda: expansion().coupling("1", 1),
        "A coupling is of two different positions, but got '1' twice. Use field for one.",
    ),
    "no table": (
        lambda: expand(first, Groups.of_columns(5, {"a": [0, 1], "b": [2, 3, 4]})).fields(),
        "The groups have from 2 to 3 categories, which make no table. Take one at a time: "
        "field(group).",
    ),
    "another group": (
        lambda: expansion().field("4"),
        "There is no group '4'; expected a number from 0 to 2 or one of the names 0, 1, 2.",
    ),
    "a term's shape": (
        lambda: zero_sum_gauge({(1,): torch.zeros(3)}, GROUPS),
        "The term of positions (1,) must be shaped (4, '…'), as its groups have categories, "
        "but got (3,).",
    ),
    "a term's positions": (
        lambda: zero_sum_gauge({(1, 0): torch.zeros(4, 4)}, GROUPS),
        "A term is kept under its positions, from 0 to 2 in ascending order, but got (1, 0).",
    ),
    "no terms": (
        lambda: energy({}, torch.zeros(1, 3).long()),
        "There are no terms to add up; expected φ, under (), at least.",
    ),
}


@pytest.mark.parametrize(("action", "message"), READ.values(), ids=READ)
def test_what_an_expansion_has_not(action: Any, message: str) -> None:
    assert message_of(action) == message


def test_a_background_of_no_data() -> None:
    nothing = torch.zeros(0, 3, 4)
    message = message_of(lambda: Background.of_data(GROUPS, nothing, name="none"))
    assert message == (
        "The data hold no examples to count categories in. Pass some, or a pseudocount above 0 "
        "for a uniform background."
    )
    even = Background.of_data(GROUPS, nothing, name="prior", pseudocount=1.0)
    assert all(torch.equal(row, torch.full((4,), 0.25).double()) for row in even.probabilities)


def test_the_number_of_patterns_is_rounded() -> None:
    sequence = Groups.of_positions((400, 20))  # 2.58e520, above the largest float
    assert "have 2.6e+520 patterns" in message_of(lambda: expand(first, sequence))
