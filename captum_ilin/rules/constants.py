"""Ops without a slope: they read metadata, or their result does not move with the input.

INERT     reads shape or metadata.
CONSTANT  comparisons, indices, rounding, integers, random numbers, detach.
"""

from __future__ import annotations

from types import GetSetDescriptorType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.holding import hold
from captum_ilin.rule import Kind
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()

_VIEWS = ("T", "mT", "H", "mH", "real", "imag")  # properties that return values
_DETACHED = ("data",)


def _properties() -> Iterator[tuple[str, Any]]:
    """Every property of Tensor, with its getter as the mode receives it."""
    for owner in (Tensor, torch._C.TensorBase):
        for name, attribute in vars(owner).items():
            if isinstance(attribute, (GetSetDescriptorType, property)):
                yield name, attribute


for _name, _property in _properties():
    if _name in _VIEWS:
        RULES.runs(Kind.LINEAR, _property.__get__)
    elif _name in _DETACHED:
        RULES.runs(Kind.CONSTANT, _property.__get__)
    else:
        RULES.runs(Kind.INERT, _property.__get__)
    if _name not in _DETACHED:
        RULES.runs(Kind.INERT, _property.__set__)

RULES.runs(
    Kind.INERT,
    *(Tensor.size, Tensor.dim, Tensor.ndimension, Tensor.numel, Tensor.nelement),
    *(Tensor.stride, Tensor.storage_offset, Tensor.is_contiguous, Tensor.element_size),
    *(Tensor.is_floating_point, Tensor.is_complex, Tensor.is_signed, Tensor.is_inference),
    *(Tensor.is_shared, Tensor.is_pinned, Tensor.is_conj, Tensor.is_neg),
    *(Tensor.is_same_size, Tensor.get_device, Tensor.__len__, Tensor.__hash__),
    *(Tensor.data_ptr, Tensor.storage, Tensor.untyped_storage, Tensor._is_view),
    *(Tensor.retain_grad, Tensor.requires_grad_),
    *(torch.numel, torch.is_floating_point, torch.is_complex, torch.is_inference),
    *(torch.is_same_size, torch.result_type, torch.promote_types, torch.can_cast),
    *(torch.is_conj, torch.is_neg, torch.is_signed, torch.get_device),
    *(Tensor.dim_order, Tensor.__dlpack_device__),
    *spellings("is_distributed", "is_set_to", "is_coalesced", "dense_dim", "sparse_dim"),
    *spellings("_nested_tensor_size", "_nested_tensor_strides"),
    *spellings("_nested_tensor_storage_offsets", "const_data_ptr", "storage_type"),
    *spellings("record_stream", "register_post_accumulate_grad_hook", "qscheme"),
    *spellings("_dimI", "_dimV", "_nnz", "_clear_non_serializable_cached_data", "autocast"),
    *spellings("is_vulkan_available", "cudnn_is_acceptable"),
)

RULES.runs(
    Kind.CONSTANT,
    *(Tensor.detach, torch.detach, Tensor.item, Tensor.tolist, Tensor.numpy),
    *(Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__),
    *(Tensor.__format__, Tensor.__repr__, Tensor.__contains__, Tensor.is_nonzero),
    *(Tensor.__array__, torch.is_nonzero),
    *(torch.eq, Tensor.eq, torch.ne, Tensor.ne, torch.not_equal, Tensor.not_equal),
    *(torch.lt, Tensor.lt, torch.less, Tensor.less),
    *(torch.le, Tensor.le, torch.less_equal, Tensor.less_equal),
    *(torch.gt, Tensor.gt, torch.greater, Tensor.greater),
    *(torch.ge, Tensor.ge, torch.greater_equal, Tensor.greater_equal),
    *(torch.equal, Tensor.equal, torch.allclose, Tensor.allclose),
    *(torch.isclose, Tensor.isclose, torch.isnan, Tensor.isnan),
    *(torch.isinf, Tensor.isinf, torch.isfinite, Tensor.isfinite),
    *(torch.isposinf, Tensor.isposinf, torch.isneginf, Tensor.isneginf),
    *(torch.logical_and, Tensor.logical_and, torch.logical_or, Tensor.logical_or),
    *(torch.logical_not, Tensor.logical_not, torch.logical_xor, Tensor.logical_xor),
    *(torch.all, Tensor.all, torch.any, Tensor.any),
    *(torch.argmax, Tensor.argmax, torch.argmin, Tensor.argmin),
    *(torch.argsort, Tensor.argsort, torch.nonzero, Tensor.nonzero),
    *(torch.argwhere, Tensor.argwhere, torch.count_nonzero, Tensor.count_nonzero),
    *(torch.searchsorted, torch.bucketize, torch.unique, Tensor.unique),
    *(torch.floor, Tensor.floor, torch.ceil, Tensor.ceil, torch.round, Tensor.round),
    *(torch.trunc, Tensor.trunc, torch.fix, Tensor.fix, torch.sign, Tensor.sign),
    *(torch.sgn, Tensor.sgn, torch.heaviside, Tensor.heaviside),
    *(torch.signbit, Tensor.signbit, torch.floor_divide, Tensor.floor_divide),
    *(Tensor.__floordiv__, Tensor.__rfloordiv__, F.one_hot),
    *(torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like),
    *(torch.rand_like, torch.randn_like, torch.randint_like),
    *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty),
    *(Tensor.new_tensor, torch.bernoulli, Tensor.bernoulli, torch.multinomial),
    *(Tensor.multinomial, torch.histc, Tensor.histc, torch.bincount, Tensor.bincount),
    *(Tensor.int, Tensor.long, Tensor.short, Tensor.char, Tensor.byte, Tensor.bool),
    *spellings("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__invert__"),
    *spellings("__and__", "__rand__", "__iand__", "__or__", "__ror__", "__ior__", "__xor__"),
    *spellings("__rxor__", "__ixor__", "__lshift__", "__rlshift__", "__ilshift__"),
    *spellings("__rshift__", "__rrshift__", "__irshift__", "__nonzero__", "__long__"),
    *spellings("__complex__", "__array_wrap__", "__dlpack__", "_is_all_true", "_is_any_true"),
    *functions("_VF", "_nested_tensor_from_mask_left_aligned"),  # it asks about the mask
    *spellings("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
    *spellings("bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm"),
    *spellings("isin", "isreal", "unique_consecutive", "unique_dim", "unravel_index"),
    *spellings("histogram", "histogramdd", "nonzero_static", "hash_tensor", "detach_copy"),
    *spellings("poisson", "binomial", "nextafter", "empty_permuted", "new_empty_strided"),
    *spellings("sym_float", "sym_int", "sym_ite", "sym_max", "sym_min"),
    *spellings("sym_not", "sym_sqrt", "sym_sum"),
    # made anew, whatever the arguments
    *spellings("tensor", "scalar_tensor", "empty", "empty_strided", "empty_quantized", "eye"),
    *spellings("zeros", "ones", "full", "arange", "range", "linspace", "logspace", "rand"),
    *spellings("randn", "randint", "randperm", "normal", "from_numpy", "from_file"),
    *spellings("frombuffer", "tril_indices", "triu_indices", "bartlett_window"),
    *spellings("blackman_window", "hamming_window", "hann_window", "kaiser_window"),
    *spellings("sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor"),
    *spellings("sparse_bsr_tensor", "sparse_bsc_tensor", "sparse_compressed_tensor"),
    *spellings("sym_constrain_range", "sym_constrain_range_for_size"),
    *functions("special", "round"),
    *functions("linalg", "matrix_rank"),
)


def _writes_constant(op: Op, *writing: Op) -> None:
    """Register in-place forms that leave the result of ``op`` there, without slope."""

    @RULES.writes(*writing, plain=op, is_tangent=True)
    def rule(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.copy_(hold(op, input, *args, **kwargs))


for _name in (
    *("floor", "ceil", "round", "trunc", "fix", "sign", "sgn", "heaviside", "floor_divide"),
    *("eq", "ne", "not_equal", "lt", "less", "le", "less_equal", "gt", "greater", "ge"),
    *("greater_equal", "logical_and", "logical_or", "logical_xor", "logical_not"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "bitwise_left_shift"),
    *("bitwise_right_shift", "gcd", "lcm", "nextafter"),
):
    _writes_constant(getattr(torch, _name), *writings(_name))
_writes_constant(torch.floor_divide, *spellings("__ifloordiv__"))


def _writes_draw(name: str) -> None:
    """Register an in-place form that leaves random numbers there, the same ones in replay."""

    @RULES.writes(*writings(name), plain=torch.clone, is_tangent=True)
    def rule(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        def draw() -> Tensor:
            return getattr(input.detach().clone(), f"{name}_")(*args, **kwargs)

        return input.copy_(hold(draw))


for _name in (
    *("normal", "uniform", "random", "exponential", "geometric", "cauchy", "log_normal"),
    "bernoulli",
):
    _writes_draw(_name)
