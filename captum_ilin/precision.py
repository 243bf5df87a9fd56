"""``in_double``: a network computed in float64 throughout, its own casts to less included.

Many networks cast to float32 inside, for a norm or a softmax, whatever the precision of the
model. Such a cast rounds, and rounding is not affine: inside a float64 model it limits every
identity to some 1e-7. In float64 throughout, what is left is the network itself.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_ilin.errors import ForwardFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_double"]

_NARROWER = frozenset({torch.float32, torch.float16, torch.bfloat16})
_CASTS = frozenset({Tensor.float, Tensor.half, Tensor.bfloat16})
_LIKE_ANOTHER = frozenset({Tensor.to, Tensor.type_as, Tensor.type})
# What these make is of the default type, float32, unless they are told another.
_OF_DEFAULT_TYPE = frozenset(
    {
        *(torch.zeros, torch.ones, torch.empty, torch.eye, torch.linspace, torch.logspace),
        *(torch.rand, torch.randn, torch.bartlett_window, torch.blackman_window),
        *(torch.hamming_window, torch.hann_window, torch.kaiser_window),
    }
)
_OF_DEFAULT_TYPE_FROM_FLOATS = frozenset(
    {torch.full, torch.arange, torch.range, torch.tensor, torch.as_tensor, torch.scalar_tensor}
)


def in_double(forward_func: Callable[..., Any]) -> Callable[..., Any]:
    """``forward_func`` with every request for a narrower floating-point type read as float64.

    So is the type of new tensors that none is requested for, float32 by PyTorch's default.

    Args:
        forward_func: a model or function whose parameters and inputs are float64 already
            (``model.double()``). It is called as it is, and not changed.

    Returns:
        A callable with the same signature, for ``linearize``, ``ILIN`` or anything else.

    Raises:
        ForwardFunctionError: when called, if the output is of a narrower type, because
            parameters or inputs are.

    Cost: one Python call for each torch call.

    >>> import torch
    >>> from captum_ilin import in_double, linearize
    >>> def norm(x):
    ...     y = x.to(torch.float32)
    ...     return (y * torch.rsqrt(y.square().mean(-1, keepdim=True))).to(x.dtype)
    >>> x = torch.randn(2, 5, dtype=torch.float64)
    >>> linearize(in_double(norm), x).check().completeness_error < 1e-14
    True
    """

    @wraps(forward_func, updated=())
    def forward(*args: Any, **kwargs: Any) -> Any:
        with _Widening():
            outputs = forward_func(*args, **kwargs)
        _check_is_double(outputs)
        return outputs

    return forward


def _check_is_double(outputs: Any) -> None:
    if isinstance(outputs, Tensor) and outputs.dtype in _NARROWER:
        raise ForwardFunctionError(
            f"forward_func returned {outputs.dtype} inside in_double; expected float64, which "
            "it is throughout if its parameters and inputs are. Call model.double(), and pass "
            "inputs.double()."
        )


class _Widening(TorchFunctionMode):
    """Read float32, float16 and bfloat16 as float64 in the arguments of every call."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = {name: _widened(value) for name, value in (kwargs or {}).items()}
        if func in _CASTS:
            func = Tensor.double
        elif func in _LIKE_ANOTHER:
            args = (*args[:1], *map(_like_double, args[1:]))
            kwargs = {name: _like_double(value) for name, value in kwargs.items()}
        elif kwargs.get("dtype") is None and _makes_default_type(func, args, kwargs):
            kwargs["dtype"] = torch.float64
        return func(*map(_widened, args), **kwargs)


def _widened(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROWER else value


def _like_double(other: Any) -> Any:
    """What ``x.to(other)`` is asked for: a tensor stands for its type and device."""
    return other.double() if isinstance(other, Tensor) and other.dtype in _NARROWER else other


def _makes_default_type(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call without a type makes a tensor of the default one."""
    if func in _OF_DEFAULT_TYPE:
        return True
    return func in _OF_DEFAULT_TYPE_FROM_FLOATS and _has_float([args, list(kwargs.values())])


def _has_float(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_float, value))
    return isinstance(value, float)
