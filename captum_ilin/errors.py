"""Every error and warning of the package, in one tree.

Each class is an ``IlinError`` (or ``IlinWarning``) and also the builtin a caller would
expect. Messages say what happened, where, why, and what to do, in that order.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = [
    "BaselineError",
    "BaselinePathError",
    "BudgetError",
    "DuplicateRuleError",
    "EmptyBatchError",
    "ForwardFunctionError",
    "IlinError",
    "IlinWarning",
    "InputTypeError",
    "LawError",
    "LayerError",
    "LayerTypeError",
    "LedgerError",
    "MissingTargetError",
    "NeuronRangeError",
    "NeuronSelectorError",
    "NoDerivativeError",
    "NonFiniteError",
    "NotExactError",
    "NotOfferedError",
    "OpaqueModuleError",
    "OperandError",
    "OutputShapeError",
    "PartError",
    "PointError",
    "RankError",
    "RefusedOpError",
    "RegionError",
    "ReplayError",
    "RuleTypeError",
    "ScipyPackageError",
    "StoredFileError",
    "StoredFileExistsError",
    "StoredFilePackageError",
    "TargetError",
    "TargetRangeError",
    "TokenTableError",
    "TrainingModeWarning",
    "UnregisteredOpError",
    "UnregisteredOpWarning",
    "UnusedInputError",
]


class IlinError(Exception):
    """Base of every error raised by ``captum_ilin``."""


class InputTypeError(IlinError, TypeError):
    """An input is not a floating-point tensor, so it has no derivative."""


class EmptyBatchError(IlinError, ValueError):
    """An input has no rows."""


class ForwardFunctionError(IlinError, TypeError):
    """The forward function is not callable, or does not return one tensor."""


class OpaqueModuleError(IlinError, TypeError):
    """A scripted or traced module hides its operations."""


class OperandError(IlinError, ValueError):
    """A vector does not have the shape of the map's inputs or outputs."""


class PartError(IlinError, IndexError):
    """An index that chooses no features or outputs of the map."""


class BudgetError(IlinError, ValueError):
    """A budget of memory that not even one row of the weight fits."""


class RankError(IlinError, ValueError):
    """A number of singular values that the map does not have."""


class OutputShapeError(IlinError, ValueError):
    """The output has no batch dimension, or not the batch size of the inputs."""


class UnusedInputError(IlinError, ValueError):
    """The output does not depend on an input."""


class TargetError(IlinError, ValueError):
    """The target has a form or a length that does not fit the output."""


class MissingTargetError(TargetError):
    """Several outputs per example, and no target to choose one."""


class TargetRangeError(TargetError, IndexError):
    """The target names an output that does not exist."""


class LayerError(IlinError, ValueError):
    """The layer is not reached, not used by the output, or not called that often."""


class LayerTypeError(LayerError, TypeError):
    """The layer is not a module, or its value holds no floating-point tensor."""


class LedgerError(IlinError, ValueError):
    """A depth, a size or a layout that the bias ledger cannot be read by."""


class NeuronSelectorError(IlinError, ValueError):
    """The neuron selector does not choose one value per example."""


class NeuronRangeError(NeuronSelectorError, IndexError):
    """The neuron selector names a unit that does not exist."""


class PointError(IlinError, ValueError):
    """Another point, or a direction, that does not have the shape of the inputs."""


class BaselineError(IlinError, ValueError):
    """Baselines that do not go with the inputs."""


class BaselinePathError(IlinError, RuntimeError):
    """The forward function calls other ops at the baseline than at the inputs."""


class RegionError(IlinError, ValueError):
    """The network is not piecewise linear, or its region is bounded by too many units."""


class ReplayError(IlinError, RuntimeError):
    """At another point the forward function calls other ops than at the operating point."""


class NonFiniteError(IlinError, ArithmeticError):
    """An input, an output or a weight is NaN or infinite."""


class NoDerivativeError(IlinError, NotImplementedError):
    """PyTorch has no derivative for an op between the inputs and the output."""


class UnregisteredOpError(IlinError, NotImplementedError):
    """Under ``strict=True``, an op that no rule covers."""


class RefusedOpError(IlinError, NotImplementedError):
    """An op through which no exact map can be given; the message says why."""


class DuplicateRuleError(IlinError, ValueError):
    """Two rules registered for one op in one table."""


class RuleTypeError(IlinError, TypeError):
    """The rules are not a table, or an entry does not map an op to a rule."""


class NotExactError(IlinError, ArithmeticError):
    """An affine map that is not exact; the message names the op."""


class NotOfferedError(IlinError, NotImplementedError):
    """A request that this class does not answer."""


class StoredFileError(IlinError, ValueError):
    """A file from which no stored map can be read, or to which none can be written."""


class StoredFileExistsError(IlinError, FileExistsError):
    """A file that would be overwritten."""


class StoredFilePackageError(IlinError, ImportError):
    """The optional package that reads and writes stored maps is not installed."""


class ScipyPackageError(IlinError, ImportError):
    """SciPy, the optional package that a map was to be handed to, is not installed."""


class TokenTableError(IlinError, ValueError):
    """Vectors and a table of tokens that do not go together."""


class LawError(IlinError, AssertionError):
    """A rule or a map breaks one of the laws; the message names which."""


class IlinWarning(UserWarning):
    """Base of every warning given by ``captum_ilin``."""


class UnregisteredOpWarning(IlinWarning):
    """An op without a rule was frozen at its tangent."""


class TrainingModeWarning(IlinWarning):
    """An op ran in training mode: the map depends on chance or on other rows."""


def without_rule(
    sites: Sequence[object], functions: Collection[object] = (), *, strict: bool = False
) -> str:
    """The message about ops that no rule covers; ``functions`` among them can have none."""
    names = ", ".join(str(site) for site in sites)
    done = (
        "strict=True refuses to take its tangent."
        if strict
        else "Frozen at its tangent: the map is still exact, with the intercept in the bias, "
        "but the split between weight and bias is a default nobody chose."
    )
    return f"No rule for: {names}. {done} {_advice(_ADD_A_RULE, sites, functions)}"


def without_rule_between(
    sites: Sequence[object], functions: Collection[object] = (), *, strict: bool = False
) -> str:
    """The same about ops without a rule between two operating points."""
    names = ", ".join(str(site) for site in sites)
    done = (
        "strict=True refuses to take its tangent."
        if strict
        else "Frozen at its tangent midway between the points (a custom function at x), which "
        "need not pass through both: F(x) − F(x') may have a remainder, which the certificate "
        "shows as baseline_error."
    )
    advice = _advice(_ADD_A_RULE_BETWEEN, sites, functions)
    return f"No rule between two points for: {names}. {done} {advice}"


def _advice(add_a_rule: str, sites: Sequence[object], functions: Collection[object]) -> str:
    advice = [
        *([add_a_rule] if any(site not in functions for site in sites) else []),
        *([_REWRITE_THE_FUNCTION] if functions else []),
    ]
    return " ".join(advice)


_ADD_A_RULE_BETWEEN = (
    "Add a rule: `linearize(..., rules=REFERENCE_RULES | {op: rule})`, where rule has the op's "
    "own signature, finds the op's arguments at the baseline by `counterpart()`, and passes "
    "what it freezes through `hold`."
)
_ADD_A_RULE = (
    "Add a rule: `linearize(..., rules=DEFAULT_RULES | {op: rule})`, where rule has the op's "
    "own signature and passes what it freezes through `hold`."
)
_REWRITE_THE_FUNCTION = (
    "A custom autograd.Function cannot be given a rule, because no op call announces it: write "
    "it in torch ops, or as a torch.library.custom_op and give that a rule."
)


def refused(site: object, reason: str) -> str:
    """The message about an op that is refused."""
    return (
        f"Cannot freeze {site}, because {reason}. Compute this part outside the forward "
        "function, or give the op a rule: `linearize(..., rules=DEFAULT_RULES | {op: rule})`."
    )


def without_derivative(sites: Sequence[object]) -> str:
    """The message about ops that have neither a rule nor a derivative."""
    names = ", ".join(str(site) for site in sites)
    return (
        f"No derivative for: {names}. Its result is held constant, so what reaches the output "
        "through it counts as bias. Add a rule if it should flow: `linearize(..., "
        "rules=DEFAULT_RULES | {op: rule})`."
    )


def without_owner(sites: Sequence[object]) -> str:
    """The message about constants that differ between two points."""
    names = ", ".join(str(site) for site in sites)
    return (
        f"Differs between the two points: a constant of {names}. It was made from the input "
        "without a derivative (a comparison, an index, detach(), item()), and where it changes "
        "while what it acts on does not, no feature owns the change: the contributions fall "
        "short of F(x) - F(x') by it. Choose a baseline with the same masks and indices, or "
        "write the step with a derivative, such as relu(x) for x * (x > 0). Fill masks with a "
        "large finite number: an infinite one is an infinite change."
    )


@contextmanager
def saying_what_has_no_derivative() -> Iterator[None]:
    """Turn PyTorch's own complaints about a missing derivative into ours."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        if isinstance(error, IlinError) or not any(w in str(error) for w in _NO_DERIVATIVE):
            raise
        raise NoDerivativeError(
            "An op between the inputs and the output has no derivative: "
            f"{str(error).rstrip('.')}. Replace the op, or give it a rule: "
            "`rules=DEFAULT_RULES | {op: rule}`."
        ) from error


_NO_DERIVATIVE = ("not implemented", "not differentiable", "no autograd formula")
