"""Wrong input gets an error of its own, which says what, where, why and what to do.

Every case also leaves the model and the caller's tensors as they were.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    DEFAULT_RULES,
    ILIN,
    EmptyBatchError,
    ForwardFunctionError,
    IlinError,
    InputTypeError,
    MissingTargetError,
    NoDerivativeError,
    NonFiniteError,
    NotExactError,
    NotOfferedError,
    OpaqueModuleError,
    OutputShapeError,
    RuleTable,
    RuleTypeError,
    TargetError,
    TargetRangeError,
    TrainingModeWarning,
    UnregisteredOpWarning,
    UnusedInputError,
    frozen,
    linearize,
)
from tests.fingerprint import untouched
from tests.networks import ConvNet, smooth_mlp

BATCH = 4
JIT_IS_DEPRECATED = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture
def network() -> nn.Sequential:
    return smooth_mlp()  # 3 features, 4 outputs


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 3, dtype=torch.float64)


def explain(forward: Any, inputs: Any, target: Any = 1, **more: Any) -> None:
    ILIN(forward).attribute(inputs, target=target, **more)


def map_of(forward: Any, inputs: Any, target: Any = 1) -> None:
    linearize(forward, inputs).weight(target)


BOTH = pytest.mark.parametrize("ask", [explain, map_of], ids=["attribute", "linearize"])


def tensors_in(inputs: Any) -> list[Tensor]:
    values = inputs if isinstance(inputs, (tuple, list)) else [inputs]
    return [value for value in values if isinstance(value, Tensor)]


def assert_refused(
    ask: Any,
    forward: Any,
    inputs: Any,
    target: Any = 1,
    *,
    error: type[IlinError],
    match: str,
    also: type[Exception],
) -> None:
    """Raised, also as the builtin a caller expects, and nothing is left behind."""
    assert issubclass(error, also)
    with (
        untouched(forward, *tensors_in(inputs)),
        pytest.raises(error, match=match),
    ):
        ask(forward, inputs, target)


# inputs


@BOTH
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.complex64])
def test_inputs_that_are_not_floating_point(
    ask: Any, dtype: torch.dtype, network: nn.Module
) -> None:
    advice = "Pass torch.view_as_real" if dtype.is_complex else "Convert numbers with .float"
    assert_refused(
        ask,
        network,
        torch.ones(2, 3, dtype=dtype),
        error=InputTypeError,
        match=rf"inputs is a tensor of {dtype}; expected floating.*{advice}",
        also=TypeError,
    )


class Texts(nn.Module):
    """Token ids, embedded and averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.words(ids).mean(1))


@BOTH
@pytest.mark.parametrize("as_function", [False, True], ids=["module", "function"])
def test_token_ids_are_led_to_the_embedding_layer(ask: Any, as_function: bool) -> None:
    """With a line that can be copied: run as it stands, it explains the tokens."""
    model, ids = Texts(), torch.tensor([[1, 5, 2]])
    with pytest.raises(InputTypeError) as error:
        ask((lambda ids: model(ids)) if as_function else model, ids)
    line = str(error.value).partition("`")[2].partition("`")[0]
    assert line == (
        'from captum_ilin import LayerILIN; LayerILIN(model, model.get_submodule("words"))'
        ".attribute(ids, target=...)"
    )
    names: dict[str, Any] = {"model": model, "ids": ids}
    importing, explaining = line.replace("...", "1").split("; ")
    exec(importing, names)
    assert eval(explaining, names).shape == (1, 3, 4)


@BOTH
def test_numbers_that_are_not_token_ids_are_not_taken_for_some(
    ask: Any, network: nn.Module
) -> None:
    for dtype, advice in (
        (torch.bool, r"with .float\(\)\.$"),
        (torch.complex64, r"model\(torch.view_as_complex\(x\)\)` as forward_func\.$"),
    ):
        with pytest.raises(InputTypeError, match=advice):
            ask(network, torch.ones(2, 3, dtype=dtype))


def test_complex_inputs_are_explained_as_advised() -> None:
    z = torch.randn(2, 3, dtype=torch.complex128)
    affine_map = linearize(
        lambda x: torch.view_as_complex(x).abs().square(), torch.view_as_real(z)
    )
    assert affine_map.check().largest_error < 1e-14


def test_without_an_embedding_layer_in_sight_the_usual_name_is_given() -> None:
    with pytest.raises(InputTypeError, match=r"LayerILIN\(model, model.get_input_embeddings"):
        ILIN(nn.Linear(3, 2)).attribute(torch.ones(2, 3, dtype=torch.int64))


@BOTH
def test_the_input_at_fault_is_named(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda a, b: network(a) + b,
        (x, torch.ones(BATCH, 1, dtype=torch.int64)),
        error=InputTypeError,
        match=r"inputs\[1\] is a tensor of torch.int64",
        also=TypeError,
    )


@BOTH
@pytest.mark.parametrize("inputs", [[1.0, 2.0], None, 3.0, {"x": 1}])
def test_inputs_that_are_not_tensors(ask: Any, inputs: Any, network: nn.Module) -> None:
    assert_refused(
        ask,
        network,
        inputs,
        error=InputTypeError,
        match=rf"inputs is a {type(inputs).__name__}; expected a floating-point tensor",
        also=TypeError,
    )


@BOTH
@pytest.mark.parametrize(
    ("inputs", "advice"),
    [
        ([torch.zeros(2, 3)], r"Pass several inputs as a tuple; make rows one tensor with"),
        (
            {"x": torch.zeros(2, 3)},
            r"Pass its tensors as a tuple, and `lambda a, b: model\(a=a",
        ),
        (
            (torch.zeros(2, 3), None),
            r"inputs\[1\] is a NoneType; .* Leave it out, or pass it in",
        ),
        (np.zeros((2, 3)), r"inputs is a ndarray; .* Convert it with torch.as_tensor\("),
    ],
)
def test_inputs_that_are_not_tensors_get_advice_that_fits(
    ask: Any, inputs: Any, advice: str, network: nn.Module
) -> None:
    with pytest.raises(InputTypeError, match=advice):
        ask(network, inputs)


@BOTH
def test_no_inputs(ask: Any, network: nn.Module) -> None:
    assert_refused(
        ask,
        network,
        (),
        error=InputTypeError,
        match="inputs is an empty tuple. Pass at least one tensor",
        also=TypeError,
    )


@BOTH
@pytest.mark.parametrize("shape", [(0, 3), ()])
def test_empty_batch(ask: Any, shape: tuple[int, ...], network: nn.Module) -> None:
    assert_refused(
        ask,
        network,
        torch.zeros(shape, dtype=torch.float64),
        error=EmptyBatchError,
        match=r"inputs has shape .*: no rows to explain.*pass at least one example",
        also=ValueError,
    )


@BOTH
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_inputs_that_are_not_finite(
    ask: Any, value: float, network: nn.Module, x: Tensor
) -> None:
    x[1, 2] = value
    assert_refused(
        ask,
        network,
        x,
        error=NonFiniteError,
        match=r"inputs \(shape \(4, 3\)\) holds 1 NaN or infinite values.*Clean the data",
        also=ArithmeticError,
    )


IGNORING = {
    "ignored": lambda network: lambda a, b: network(a),
    "detached": lambda network: lambda a, b: network(a) + b.detach(),
    "under no_grad": lambda network: lambda a, b: network(a) + _without_gradients(b),
    "made an index": lambda network: lambda a, b: network(a) + b.argmax(1, keepdim=True),
    "out of place and dropped": lambda network: lambda a, b: (b.mul_(2), network(a))[1],
}


@torch.no_grad()
def _without_gradients(b: Tensor) -> Tensor:
    return 2 * b[:, :1]


@BOTH
@pytest.mark.parametrize("way", IGNORING)
def test_an_input_the_output_ignores(ask: Any, way: str, network: nn.Module, x: Tensor) -> None:
    other = torch.randn(BATCH, 4, dtype=torch.float64)
    assert_refused(
        ask,
        IGNORING[way](network),
        (x, other),
        error=UnusedInputError,
        match=(
            r"The output does not depend on inputs\[1\] \(shape \(4, 4\)\).*Leave it out of "
            "the inputs, or pass it in additional_forward_args"
        ),
        also=ValueError,
    )


def test_an_input_that_only_sets_gates_has_weight_zero(network: nn.Module, x: Tensor) -> None:
    """Held, not ignored: the plain output depends on it."""
    gates = torch.randn(BATCH, 4, dtype=torch.float64)
    _, weight = linearize(lambda a, b: network(a) * torch.sigmoid(b), (x, gates)).weight(1)
    assert torch.equal(weight, torch.zeros_like(gates))


@BOTH
def test_inputs_with_different_numbers_of_rows(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda a, b: network(a) + b,
        (x, torch.randn(1, 4, dtype=torch.float64)),
        error=OutputShapeError,
        match=r"returned 4 rows \(shape \(4, 4\)\) for 1 rows of inputs\[1\]",
        also=ValueError,
    )


# targets


def ledger_of(forward: Any, inputs: Any, target: Any) -> None:
    linearize(forward, inputs).bias_ledger(target)


@pytest.mark.parametrize("ask", [explain, ledger_of], ids=["attribute", "bias_ledger"])
def test_missing_target(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        network,
        x,
        None,
        error=MissingTargetError,
        match=(
            r"No target was given, but forward_func returns 4 outputs per example \(shape "
            r"\(4, 4\)\). Pass target="
        ),
        also=ValueError,
    )


@BOTH
@pytest.mark.parametrize(
    "target", [4, -5, (4,), torch.tensor(9), [0, 1, 4, 2], [(0,), (1,), (7,), (2,)], 10**30]
)
def test_target_out_of_range(ask: Any, target: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        network,
        x,
        target,
        error=TargetRangeError,
        match=r"out of range: the output of each example has shape \(4,\), so indices run",
        also=IndexError,
    )


@BOTH
@pytest.mark.parametrize(
    "target", [[0, 1], [], torch.tensor([0, 1]), torch.tensor([0, 1, 2, 3, 0]), [(0,), (1,)]]
)
def test_target_of_another_length_than_the_batch(
    ask: Any, target: Any, network: nn.Module, x: Tensor
) -> None:
    assert_refused(
        ask,
        network,
        x,
        target,
        error=TargetError,
        match=rf"The target has {len(target)} entries, but the output has 4 examples",
        also=ValueError,
    )


@BOTH
@pytest.mark.parametrize(
    ("target", "match"),
    [
        ((1, 2), r"The target \(1, 2\) has 2 indices, but each example's output has 1"),
        (True, "The target True has a form that is not known"),
        (1.0, "The target 1.0 has a form that is not known"),
        ("cat", "The target 'cat' has a form that is not known"),
        ([1.0, 1, 1, 1], "has a form that is not known"),
        ([True] * BATCH, "has a form that is not known"),
        ([torch.tensor(0.7)] * BATCH, "has a form that is not known"),
        ([torch.tensor([0, 1])] * BATCH, "has a form that is not known"),
        (torch.tensor(1.0), "The target is a tensor of torch.float32; targets are output"),
        (torch.eye(4), "must be an integer tensor. Use target.long"),
        (torch.tensor([True] * BATCH), "The target is a tensor of torch.bool"),
        (torch.zeros(BATCH, 2).long(), r"The target tensor has shape \(4, 2\); expected one"),
    ],
)
def test_target_of_a_form_that_is_not_known(
    ask: Any, target: Any, match: str, network: nn.Module, x: Tensor
) -> None:
    assert_refused(ask, network, x, target, error=TargetError, match=match, also=ValueError)


@BOTH
def test_target_for_an_output_without_classes(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda x: network(x).sum(1),
        x,
        0,
        error=TargetError,
        match=r"The target 0 has 1 indices, but each example's output has 0.*Pass no target",
        also=ValueError,
    )


# forward functions


@BOTH
def test_scalar_output(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda x: network(x).sum(),
        x,
        None,
        error=OutputShapeError,
        match=r"returned a single number for the whole batch \(a 0-d tensor\).*Drop the red",
        also=ValueError,
    )


@BOTH
@pytest.mark.parametrize(
    ("wrap", "kind"),
    [
        (lambda y: (y,), "tuple"),
        (lambda y: {"logits": y}, "dict"),
        (lambda y: [y], "list"),
        (lambda y: None, "NoneType"),
        (lambda y: 3.0, "float"),
    ],
)
def test_output_that_is_not_a_tensor(
    ask: Any, wrap: Any, kind: str, network: nn.Module, x: Tensor
) -> None:
    assert_refused(
        ask,
        lambda x: wrap(network(x)),
        x,
        error=ForwardFunctionError,
        match=rf"forward_func returned a {kind}; expected one tensor. Wrap it",
        also=TypeError,
    )


@pytest.mark.parametrize(
    ("wrap", "advice"),
    [
        (lambda y: {"loss": None, "scores": y}, r"model(x)['scores']"),
        (lambda y: (None, y), r"model(x)[1]"),
        (lambda y: (), r"model(x)[...]"),
        (lambda y: SimpleNamespace(logits=y), r"model(x).logits"),
    ],
)
def test_an_output_of_several_parts_is_taken_apart_as_advised(
    wrap: Any, advice: str, network: nn.Module, x: Tensor
) -> None:
    with pytest.raises(ForwardFunctionError, match=re.escape(f"`lambda x: {advice}`.")):
        linearize(lambda x: wrap(network(x)), x)


def test_a_single_example_without_a_batch_is_told_how_to_get_one(network: nn.Module) -> None:
    with pytest.raises(OutputShapeError, match=r"pass a single example as x\[None\]\."):
        linearize(network, torch.zeros(3, dtype=torch.float64))


@BOTH
def test_output_of_another_batch_size(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda x: network(x)[:2],
        x,
        error=OutputShapeError,
        match=r"returned 2 rows \(shape \(2, 4\)\) for 4 rows of inputs \(shape \(4, 3\)\)",
        also=ValueError,
    )


@pytest.mark.parametrize("ask", [explain, map_of, lambda f, x, t: frozen(f)])
def test_something_that_cannot_be_called(ask: Any, x: Tensor) -> None:
    assert_refused(
        ask,
        3,
        x,
        error=ForwardFunctionError,
        match="forward_func has type int, which cannot be called. Pass a module or a function",
        also=TypeError,
    )


@BOTH
def test_a_function_of_no_arguments(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda: network(x),
        x,
        error=ForwardFunctionError,
        match="forward_func takes no arguments, so the inputs cannot reach it. Pass a function",
        also=TypeError,
    )


def scripted(network: nn.Module, x: Tensor) -> Any:
    return torch.jit.script(network)


def traced(network: nn.Module, x: Tensor) -> Any:
    return torch.jit.trace(network, x)


@BOTH
@JIT_IS_DEPRECATED
@pytest.mark.parametrize("compiled", [scripted, traced])
@pytest.mark.parametrize(
    ("use", "where"),
    [
        (lambda module: module, "the model is scripted or traced"),
        (lambda module: nn.Sequential(nn.Identity(), module), "the module '1' is scripted"),
        (lambda module: lambda x: module(x), "the model is scripted or traced"),
        (lambda module: module.forward, "scripted or traced"),
    ],
    ids=["the model", "a submodule", "in a closure", "a bound method"],
)
def test_scripted_and_traced_modules(
    ask: Any, compiled: Any, use: Any, where: str, network: nn.Module, x: Tensor
) -> None:
    forward = use(compiled(network, x))
    with pytest.raises(OpaqueModuleError, match=where) as error:
        ask(forward, x)
    assert issubclass(OpaqueModuleError, TypeError)
    assert "Pass the Python module it was made from" in str(error.value)
    with untouched(network, x), pytest.raises(OpaqueModuleError):
        ask(forward, x)


@BOTH
@JIT_IS_DEPRECATED
def test_a_scripted_function(ask: Any, x: Tensor) -> None:
    function = torch.jit.script(_doubled_relu)
    assert_refused(
        ask,
        function,
        x,
        error=OpaqueModuleError,
        match="forward_func is scripted or traced",
        also=TypeError,
    )


@BOTH
@JIT_IS_DEPRECATED
def test_a_scripted_function_called_on_the_way(ask: Any, network: nn.Module, x: Tensor) -> None:
    """Found when its value turns up, wherever it hides."""
    functions = [torch.jit.script(_doubled_relu)]
    assert_refused(
        ask,
        lambda x: functions[0](network(x)),
        x,
        error=NotExactError,
        match="What went into .* is not known",
        also=ArithmeticError,
    )


def _doubled_relu(x: Tensor) -> Tensor:
    return 2 * torch.relu(x)


# what happens on the way


@BOTH
@pytest.mark.filterwarnings("ignore::captum_ilin.UnregisteredOpWarning")
def test_an_op_without_derivative(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda x: torch.special.zeta(network(x).exp() + 1, torch.ones(4)),
        x,
        error=NoDerivativeError,
        match=(
            r"An op between the inputs and the output has no derivative: .*zeta.*not "
            r"implemented\. Replace the op, or give it a rule"
        ),
        also=NotImplementedError,
    )


LIBRARY = torch.library.Library("ilin_bad_input", "DEF")
LIBRARY.define("nextafter(Tensor a, Tensor b) -> Tensor")
LIBRARY.impl("nextafter", torch.nextafter, "CompositeImplicitAutograd")


def test_an_op_whose_result_has_no_derivative_is_held_aloud(
    network: nn.Module, x: Tensor
) -> None:
    """Its gradient is not defined, but other paths lead to the output."""

    def forward(x: Tensor) -> Tensor:
        return network(x) + torch.ops.ilin_bad_input.nextafter(x, 2 * x).sum(1, keepdim=True)

    with (
        untouched(network, x),
        pytest.warns(UnregisteredOpWarning, match="No (rule|derivative) for: .*nextafter"),
    ):
        linearize(forward, x)


@BOTH
def test_output_that_is_not_finite(ask: Any, network: nn.Module, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda x: network(x) / (x[:, :1] * 0),
        x,
        error=NonFiniteError,
        match=(
            r"The output of forward_func \(shape \(4, 4\)\) holds 16 NaN or infinite values, "
            "first made by div"
        ),
        also=ArithmeticError,
    )


@BOTH
def test_weight_that_is_not_finite(ask: Any, x: Tensor) -> None:
    assert_refused(
        ask,
        lambda x: (x * 0).sqrt(),
        x,
        error=NonFiniteError,
        match=r"The weight W \(shape \(4, 3\)\) holds .* NaN or infinite values.*a root",
        also=ArithmeticError,
    )


@BOTH
def test_an_error_of_the_models_own_is_passed_on(ask: Any, x: Tensor) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)).double()
    with (
        untouched(network, x),
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
    ):
        ask(network, x)


# training mode


@BOTH
def test_batch_norm_in_training_mode_warns(ask: Any) -> None:
    network = ConvNet().train()
    images = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    with (
        untouched(network, images),
        pytest.warns(
            TrainingModeWarning, match="batch_norm ran in training mode: its statis"
        ) as said,
    ):
        ask(network, images)
    assert "Call model.eval() first" in str(said[0].message)


@BOTH
@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(0.5), nn.Dropout1d(0.5), nn.AlphaDropout(0.5), nn.FeatureAlphaDropout()],
)
def test_dropout_in_training_mode_warns(ask: Any, layer: nn.Module, x: Tensor) -> None:
    network = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), layer, nn.Linear(6, 4)).double().train()
    with (
        untouched(network, x, draws=True),
        pytest.warns(TrainingModeWarning, match="dropout ran in training mode") as said,
    ):
        ask(network, x)
    assert "Call model.eval() first" in str(said[0].message)


@BOTH
def test_dropout_and_batch_norm_in_evaluation_mode_are_quiet(ask: Any, x: Tensor) -> None:
    """Warnings are errors here."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout()).double().eval()
    ask(network, x)


def test_the_warning_points_at_the_callers_line(x: Tensor) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout()).double().train()
    with pytest.warns(TrainingModeWarning) as said:
        explain(network, x)
    assert said[0].filename == __file__


def test_every_error_is_an_ilin_error() -> None:
    for error in (
        *(InputTypeError, EmptyBatchError, NonFiniteError, UnusedInputError, TargetError),
        *(OutputShapeError, ForwardFunctionError, OpaqueModuleError, NoDerivativeError),
    ):
        assert issubclass(error, IlinError)


def test_one_model_survives_every_error(network: nn.Module, x: Tensor) -> None:
    """The same module again and again, then a right answer."""
    expected = ILIN(network).attribute(x, target=1)
    for bad in ({"inputs": x[:0]}, {"inputs": x, "target": 9}, {"inputs": x.long()}):
        with pytest.raises(IlinError):
            ILIN(network).attribute(**{"target": 1} | bad)
    assert torch.equal(ILIN(network).attribute(x, target=1), expected)


# rules


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z**3


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"relu": F.relu}, "A rule was given for 'relu'; expected an op, the function itself"),
        ({nn.ReLU: F.relu}, "The rule for ReLU would never be used, because it is a module"),
        ({nn.ReLU(): F.relu}, "sees the functions that its forward calls. Register those"),
        (
            {Cubed: F.relu},
            "The rule for Cubed would never be used, because no op call announces",
        ),
        ({Cubed.apply: F.relu}, "or as a torch.library.custom_op and register that"),
        (
            {torch.relu: 3},
            "The rule for relu has type int; expected a function with the op's own",
        ),
    ],
)
def test_a_rule_that_would_never_be_used(entry: Any, match: str) -> None:
    with pytest.raises(RuleTypeError, match=match):
        DEFAULT_RULES | entry
    with pytest.raises(TypeError, match=match):
        RuleTable(entry)


def test_a_module_cannot_be_registered() -> None:
    with pytest.raises(RuleTypeError, match="The rule for ReLU would never be used"):
        RuleTable().freezes(nn.ReLU)(F.relu)


@pytest.mark.parametrize("rules", [{torch.relu: F.relu}, [F.relu], {}])
def test_rules_that_are_not_a_table(rules: Any, network: nn.Module, x: Tensor) -> None:
    message = r"expected a RuleTable, .* Pass `DEFAULT_RULES \| \{op: rule\}`"
    with pytest.raises(RuleTypeError, match=message):
        linearize(network, x, rules=rules)
    with pytest.raises(TypeError, match=message):
        ILIN(network, rules=rules).attribute(x, target=1)


def test_complex_outputs_have_no_real_weight() -> None:
    affine_map = linearize(torch.fft.rfft, torch.randn(2, 6, dtype=torch.float64))
    with pytest.raises(NotOfferedError, match="a complex output has no real W"):
        affine_map.weight(target=0)
