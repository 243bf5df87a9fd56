"""Which ops are one function of each element, and which are polynomials of degree two."""

from __future__ import annotations

__all__ = [
    "ELEMENTWISE",
    "MATRIX_PRODUCTS",
    "OF_DEGREE_TWO",
    "PIECEWISE",
    "PRODUCTS",
    "TOGETHER",
]

# Of their first argument alone; an op of this list that has two active ones is not rescaled.
ELEMENTWISE = frozenset(
    (
        *("elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "sigmoid"),
        *("log_sigmoid", "softplus", "softsign", "tanh", "tanhshrink", "logit"),
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt"),
        *("reciprocal", "square", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh"),
        *("asinh", "acosh", "atanh", "erf", "erfc", "erfinv", "sinc", "digamma", "lgamma"),
        *("mvlgamma", "i0", "special_i0e", "special_i1", "special_i1e"),
        *("special_entr", "special_erfcx", "special_log_ndtr", "special_ndtr"),
        *("special_ndtri",),
    )
)

# Those that are affine on every piece.
PIECEWISE = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "hardsigmoid", "hardtanh"),
        *("softshrink", "hardshrink", "threshold", "clamp", "clip", "clamp_min", "clamp_max"),
        *("frac", "nan_to_num"),
        *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
    )
)

# Products of two factors.
PRODUCTS = frozenset(("mul", "multiply", "__mul__", "__rmul__", "__imul__", "gated"))
MATRIX_PRODUCTS = frozenset(("matmul", "__matmul__", "mm", "bmm"))

# Of several arguments, any of them active.
TOGETHER = frozenset(
    (
        *("pow", "__rpow__", "ldexp", "atan2", "xlogy", "special_xlog1py", "logaddexp2"),
        "polygamma",
        *("igamma", "igammac", "special_zeta", "fmod", "remainder", "__rmod__", "copysign"),
    )
)

# In all active arguments together.
OF_DEGREE_TWO = frozenset(
    (
        *("__rmatmul__", "mv", "dot", "vdot", "inner", "outer", "ger", "kron"),
        *("cross", "linalg_cross", "linalg_vecdot", "tensordot", "_sparse_mm", "_grouped_mm"),
        *("addmm", "addmv", "addr", "addbmm", "baddbmm", "addcmul", "linear", "conv1d"),
        *("conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        *(
            "convolution",
            "conv_tbc",
            "var",
            "cov",
            "lerp",
            "trapezoid",
            "trapz",
            "cumulative_trapezoid",
            "stft",
        ),
    )
)
