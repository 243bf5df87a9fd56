"""Exact contributions of every input feature to a network's prediction.

For one input x0 a network has one activation pattern. Hold it, and the prediction is an
affine map, F(x) = W x + b, equal to the network at x0:

1. run the forward function once, and treat every torch op it calls;
2. an op that is affine runs as it is; any other is replaced by an affine op that equals it
   at x0, because it holds what makes it non-linear (a slope, a gate, a selection);
3. W is the gradient of what is left; b is the sum of the constants that entered;
4. W ∘ x0 are the attributions: with b they add up to the prediction.

Source: Li et al. 2023, Instance-wise Linearization of Neural Network for Model
Interpretation, arXiv 2310.16295.
"""

from captum_ilin import pictures
from captum_ilin.activity import gate_rank, is_active
from captum_ilin.affine import AffineMap, Difference
from captum_ilin.attribution import ILIN, InstanceWiseLinearization
from captum_ilin.attribution_layer import LayerILIN, LayerInstanceWiseLinearization
from captum_ilin.attribution_neuron import NeuronILIN, NeuronInstanceWiseLinearization
from captum_ilin.biasledger import BiasLedger
from captum_ilin.biasmap import BiasMap
from captum_ilin.certificate import Certificate
from captum_ilin.counterpart import counterpart
from captum_ilin.errors import (
    BaselineError,
    BaselinePathError,
    BudgetError,
    DuplicateRuleError,
    EmptyBatchError,
    ForwardFunctionError,
    IlinError,
    IlinWarning,
    InputTypeError,
    LawError,
    LayerError,
    LayerTypeError,
    LedgerError,
    MissingTargetError,
    NeuronRangeError,
    NeuronSelectorError,
    NoDerivativeError,
    NonFiniteError,
    NotExactError,
    NotOfferedError,
    OpaqueModuleError,
    OperandError,
    OutputShapeError,
    PartError,
    PointError,
    RankError,
    RefusedOpError,
    RegionError,
    ReplayError,
    RuleTypeError,
    ScipyPackageError,
    StoredFileError,
    StoredFileExistsError,
    StoredFilePackageError,
    TargetError,
    TargetRangeError,
    TokenTableError,
    TrainingModeWarning,
    UnregisteredOpError,
    UnregisteredOpWarning,
    UnusedInputError,
)
from captum_ilin.exits import RegionExit
from captum_ilin.holding import hold
from captum_ilin.laws import check_affine_map, check_rule
from captum_ilin.layermap import LayerContributions, LayerMap
from captum_ilin.layermatrices import LayerMatrix
from captum_ilin.layershares import LayerShares
from captum_ilin.layouts import by_definition, channels_first, channels_last
from captum_ilin.linearization import frozen, linearize
from captum_ilin.location import Site
from captum_ilin.margin import RegionMargin
from captum_ilin.marginbound import MarginBound
from captum_ilin.operator import Operator
from captum_ilin.precision import in_double
from captum_ilin.region import Region
from captum_ilin.rule import Kind, Rule
from captum_ilin.rules import (
    ATTNLRP_RULES,
    DEFAULT_RULES,
    REFERENCE_RULES,
    SPLIT_RULES,
    TANGENT_RULES,
)
from captum_ilin.rules.primitives import product, secant
from captum_ilin.ruletable import RuleTable
from captum_ilin.singular import Singular
from captum_ilin.stored import StoredMap
from captum_ilin.tangent import tangent
from captum_ilin.tokens import NearestTokens, nearest_tokens
from captum_ilin.waterfall import Waterfall

__all__ = [
    "ATTNLRP_RULES",
    "DEFAULT_RULES",
    "ILIN",
    "REFERENCE_RULES",
    "SPLIT_RULES",
    "TANGENT_RULES",
    "AffineMap",
    "BaselineError",
    "BaselinePathError",
    "BiasLedger",
    "BiasMap",
    "BudgetError",
    "Certificate",
    "Difference",
    "DuplicateRuleError",
    "EmptyBatchError",
    "ForwardFunctionError",
    "IlinError",
    "IlinWarning",
    "InputTypeError",
    "InstanceWiseLinearization",
    "Kind",
    "LawError",
    "LayerContributions",
    "LayerError",
    "LayerILIN",
    "LayerInstanceWiseLinearization",
    "LayerMap",
    "LayerMatrix",
    "LayerShares",
    "LayerTypeError",
    "LedgerError",
    "MarginBound",
    "MissingTargetError",
    "NearestTokens",
    "NeuronILIN",
    "NeuronInstanceWiseLinearization",
    "NeuronRangeError",
    "NeuronSelectorError",
    "NoDerivativeError",
    "NonFiniteError",
    "NotExactError",
    "NotOfferedError",
    "OpaqueModuleError",
    "OperandError",
    "Operator",
    "OutputShapeError",
    "PartError",
    "PointError",
    "RankError",
    "RefusedOpError",
    "Region",
    "RegionError",
    "RegionExit",
    "RegionMargin",
    "ReplayError",
    "Rule",
    "RuleTable",
    "RuleTypeError",
    "ScipyPackageError",
    "Singular",
    "Site",
    "StoredFileError",
    "StoredFileExistsError",
    "StoredFilePackageError",
    "StoredMap",
    "TargetError",
    "TargetRangeError",
    "TokenTableError",
    "TrainingModeWarning",
    "UnregisteredOpError",
    "UnregisteredOpWarning",
    "UnusedInputError",
    "Waterfall",
    "by_definition",
    "channels_first",
    "channels_last",
    "check_affine_map",
    "check_rule",
    "counterpart",
    "frozen",
    "gate_rank",
    "hold",
    "in_double",
    "is_active",
    "linearize",
    "nearest_tokens",
    "pictures",
    "product",
    "secant",
    "tangent",
]

__version__ = "0.1.0"
