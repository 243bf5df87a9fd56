"""Ops without a rule on purpose: refused, or left at their tangent and reported."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

RULES = RuleTable()

RULES.refuses(
    "PyTorch has no derivative of it",
    *functions("special", "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"),
    *functions("special", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0"),
    *functions("special", "modified_bessel_k1", "scaled_modified_bessel_k0"),
    *functions("special", "scaled_modified_bessel_k1", "spherical_bessel_j0"),
    *functions("special", "chebyshev_polynomial_t", "chebyshev_polynomial_u"),
    *functions("special", "chebyshev_polynomial_v", "chebyshev_polynomial_w"),
    *functions("special", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u"),
    *functions("special", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w"),
    *functions("special", "hermite_polynomial_h", "hermite_polynomial_he"),
    *functions("special", "laguerre_polynomial_l", "legendre_polynomial_p"),
    *functions("linalg", "ldl_factor", "ldl_factor_ex", "ldl_solve"),
    *spellings("geqrf", "view_as_complex_copy"),
)
RULES.refuses(
    "PyTorch's gradient of it fails; write x[..., None] ** torch.arange(n)",
    *spellings("vander"),
    torch.linalg.vander,
)
RULES.refuses(
    "PyTorch's gradient of it is wrong; write index_put, slice_scatter or select_scatter",
    *spellings("as_strided_scatter"),
)
RULES.refuses(
    "PyTorch makes no deep copy of a tensor that has a graph; write clone()",
    *spellings("__deepcopy__"),
)
RULES.refuses(
    "it calls a Python function on each element, which has no derivative",
    *spellings("apply_", "map_", "map2_"),
)
RULES.refuses(
    "it changes or shares a tensor's storage, which no map can follow",
    *spellings(
        "resize", "resize_", "resize_as", "resize_as_", "set_", "share_memory_", "as_strided_"
    ),
    *spellings("module_load", "__setstate__", "__reduce_ex__"),
)
RULES.refuses(
    "it differentiates inside the forward function, and the derivative of a frozen network "
    "is not that of the network",
    *(Tensor.backward, torch.autograd.grad, torch.autograd.backward),
)
RULES.refuses(
    "sparse and nested layouts of active values are not followed; convert with to_dense()",
    *spellings("to_sparse", "to_sparse_coo", "to_sparse_csr", "to_sparse_csc"),
    *spellings("to_sparse_bsr", "to_sparse_bsc", "_to_sparse", "_to_dense", "coalesce"),
    *spellings("sparse_mask", "_sparse_mask_projection", "indices", "values", "_indices"),
    *spellings("_values", "crow_indices", "col_indices", "ccol_indices", "row_indices"),
    *spellings("indices_copy", "values_copy", "crow_indices_copy", "col_indices_copy"),
    *spellings("ccol_indices_copy", "row_indices_copy", "_coalesced_", "sparse_resize_"),
    *spellings("sparse_resize_and_clear_", "resize_as_sparse_", "hspmm", "smm", "sspaddmm"),
    *spellings("slice_inverse", "index"),
)
RULES.refuses(
    "quantized and mkldnn tensors have no derivative",
    *spellings("quantize_per_tensor", "quantize_per_channel", "quantize_per_tensor_dynamic"),
    *spellings("dequantize", "int_repr", "q_scale", "q_zero_point", "q_per_channel_axis"),
    *spellings("q_per_channel_scales", "q_per_channel_zero_points", "quantized_batch_norm"),
    *spellings("quantized_gru_cell", "quantized_lstm_cell", "quantized_rnn_relu_cell"),
    *spellings("quantized_rnn_tanh_cell", "quantized_max_pool1d", "quantized_max_pool2d"),
    *spellings("quantized_max_pool3d", "fbgemm_linear_fp16_weight", "to_mkldnn"),
    *spellings("fbgemm_linear_fp16_weight_fp32_activation", "fbgemm_linear_int8_weight"),
    *spellings("fbgemm_linear_int8_weight_fp32_activation", "fbgemm_linear_quantize_weight"),
    *spellings("fbgemm_pack_gemm_matrix_fp16", "fbgemm_pack_quantized_matrix"),
    *spellings("choose_qparams_optimized", "fused_moving_avg_obs_fake_quant"),
)
RULES.leaves(
    "a matrix decomposition has no factor that reads as a gate",
    *spellings("svd", "qr", "lobpcg", "lu", "lu_unpack", "orgqr", "ormqr"),
    *functions("linalg", "eig", "eigh", "eigvals", "eigvalsh", "householder_product"),
    *functions("linalg", "lu", "lu_factor", "lu_factor_ex", "qr", "svd", "svdvals"),
    *spellings("svd_lowrank", "pca_lowrank"),
)
RULES.leaves(
    "it is a kernel that torch.nn.functional calls, not an op that models call",
    *spellings("batch_norm_backward_elemt", "batch_norm_backward_reduce"),
    *spellings("batch_norm_elemt", "batch_norm_gather_stats", "batch_norm_stats"),
    *spellings("batch_norm_gather_stats_with_counts", "batch_norm_update_stats"),
    *spellings("native_batch_norm", "native_group_norm", "native_layer_norm"),
    *spellings("native_norm", "native_dropout", "embedding_bag", "embedding_renorm_"),
    *spellings("miopen_batch_norm", "miopen_convolution", "miopen_convolution_relu"),
    *spellings("miopen_convolution_add_relu", "miopen_convolution_transpose"),
    *spellings("miopen_depthwise_convolution", "miopen_rnn", "miopen_ctc_loss"),
    *spellings("alpha_dropout", "feature_alpha_dropout"),
    *spellings("cudnn_affine_grid_generator", "cudnn_batch_norm", "cudnn_convolution"),
    *spellings("cudnn_convolution_add_relu", "cudnn_convolution_relu", "cudnn_grid_sampler"),
    *spellings("cudnn_convolution_transpose", "mkldnn_adaptive_avg_pool2d"),
    *spellings("mkldnn_convolution", "mkldnn_linear_backward_weights", "mkldnn_max_pool2d"),
    *spellings("mkldnn_max_pool3d", "mkldnn_rnn_layer"),
    *functions("_VF", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cdist"),
    *functions("_VF", "broadcast_tensors", "cartesian_prod", "einsum", "meshgrid", "norm"),
    *functions("_VF", "split", "stft", "tensordot"),
    *writings("alpha_dropout", "feature_alpha_dropout", "dropout", "feature_dropout"),
)
