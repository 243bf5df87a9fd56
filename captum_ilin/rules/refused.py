"""Ops that are refused: no exact map, or no derivative, exists through them."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ilin.rules.spellings import functions, spellings
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
    *functions("_VF", "_chunk_cat", "_stack", "_conj_copy"),
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
    *functions("_VF", "_add_batch_dim", "_copy_from", "_copy_from_and_resize"),
    *functions("_VF", "_fill_mem_eff_dropout_mask_", "_fw_primal_copy"),
    *functions("_VF", "_philox_normal_", "_philox_uniform_"),
    *functions("_VF", "_propagate_xla_data", "_remove_batch_dim", "_resize_output_"),
    *functions("_VF", "_sobol_engine_ff_", "_sobol_engine_initialize_state_"),
    *functions("_VF", "_sobol_engine_scramble_", "_unpack_dual"),
    vars(torch._C.TensorBase)["data"].__set__,
)
RULES.refuses(
    "it differentiates inside the forward function, and the derivative of a frozen network "
    "is not that of the network",
    *(Tensor.backward, torch.autograd.grad, torch.autograd.backward),
    *functions("_VF", "_make_dual", "_make_dual_copy"),
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
    *functions("_VF", "_coalesce", "_convert_indices_from_coo_to_csr"),
    *functions("_VF", "_convert_indices_from_csr_to_coo", "_cslt_compress"),
    *functions("_VF", "_cslt_sparse_mm", "_cslt_sparse_mm_search", "_indices_copy"),
    *functions("_VF", "_nested_from_padded", "_nested_from_padded_and_nested_example"),
    *functions("_VF", "_nested_from_padded_tensor", "_nested_get_values"),
    *functions("_VF", "_nested_get_values_copy", "_nested_tensor_from_mask"),
    *functions("_VF", "_nested_tensor_from_tensor_list", "_nested_tensor_softmax_with_shape"),
    *functions("_VF", "_nested_view_from_buffer", "_nested_view_from_buffer_copy"),
    *functions("_VF", "_nested_view_from_jagged", "_nested_view_from_jagged_copy"),
    *functions("_VF", "_sparse_broadcast_to", "_sparse_broadcast_to_copy"),
    *functions("_VF", "_sparse_csr_prod", "_sparse_csr_sum"),
    *functions("_VF", "_sparse_log_softmax_backward_data", "_sparse_semi_structured_addmm"),
    *functions("_VF", "_sparse_semi_structured_apply", "_sparse_semi_structured_apply_dense"),
    *functions("_VF", "_sparse_semi_structured_linear", "_sparse_semi_structured_mm"),
    *functions("_VF", "_sparse_semi_structured_tile", "_sparse_softmax_backward_data"),
    *functions("_VF", "_sparse_sparse_matmul", "_sparse_sum", "_to_sparse_semi_structured"),
    *functions("_VF", "_values_copy"),
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
    *functions("_VF", "_convert_weight_to_int4pack", "_convert_weight_to_int4pack_for_cpu"),
    *functions("_VF", "_dyn_quant_matmul_4bit", "_dyn_quant_pack_4bit_weight"),
    *functions("_VF", "_empty_affine_quantized", "_empty_per_channel_affine_quantized"),
    *functions("_VF", "_fake_quantize_learnable_per_channel_affine"),
    *functions("_VF", "_fake_quantize_learnable_per_tensor_affine"),
    *functions("_VF", "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams"),
    *functions("_VF", "_fused_moving_avg_obs_fq_helper", "_int_mm"),
    *functions("_VF", "_make_per_channel_quantized_tensor"),
    *functions("_VF", "_make_per_tensor_quantized_tensor", "_mixed_dtypes_linear"),
    *functions("_VF", "_mkldnn_reshape", "_mkldnn_transpose", "_mkldnn_transpose_"),
    *functions("_VF", "_rowwise_prune", "_saturate_weight_to_fp16", "_scaled_grouped_mm"),
    *functions("_VF", "_scaled_grouped_mm_v2", "_scaled_mm", "_scaled_mm_v2"),
    *functions("_VF", "_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu"),
    *functions("_VF", "_weight_int4pack_mm_with_scales_and_zeros", "_weight_int8pack_mm"),
    *functions("_VF", "_wrapped_linear_prepack", "_wrapped_quantized_linear_prepacked"),
    *functions("_nn", "mkldnn_linear", "mkldnn_reorder_conv2d_weight"),
    *functions("_nn", "mkldnn_reorder_conv3d_weight"),
)
RULES.refuses(
    "it writes into a list of tensors, as optimizers do; write to each tensor in a loop",
    *functions("_VF", "_amp_foreach_non_finite_check_and_unscale_", "_amp_update_scale_"),
    *functions("_VF", "_foreach_abs_", "_foreach_acos_", "_foreach_add_"),
    *functions("_VF", "_foreach_addcdiv_", "_foreach_addcmul_", "_foreach_asin_"),
    *functions("_VF", "_foreach_atan_", "_foreach_ceil_", "_foreach_clamp_max_"),
    *functions("_VF", "_foreach_clamp_min_", "_foreach_copy_", "_foreach_cos_"),
    *functions("_VF", "_foreach_cosh_", "_foreach_div_", "_foreach_erf_", "_foreach_erfc_"),
    *functions("_VF", "_foreach_exp_", "_foreach_expm1_", "_foreach_floor_"),
    *functions("_VF", "_foreach_frac_", "_foreach_lerp_", "_foreach_lgamma_"),
    *functions("_VF", "_foreach_log10_", "_foreach_log1p_", "_foreach_log2_"),
    *functions("_VF", "_foreach_log_", "_foreach_maximum_", "_foreach_minimum_"),
    *functions("_VF", "_foreach_mul_", "_foreach_neg_", "_foreach_pow_"),
    *functions("_VF", "_foreach_reciprocal_", "_foreach_round_", "_foreach_rsqrt_"),
    *functions("_VF", "_foreach_sigmoid_", "_foreach_sign_", "_foreach_sin_"),
    *functions("_VF", "_foreach_sinh_", "_foreach_sqrt_", "_foreach_sub_", "_foreach_tan_"),
    *functions("_VF", "_foreach_tanh_", "_foreach_trunc_", "_foreach_zero_"),
    *functions("_VF", "_fused_adagrad_", "_fused_adam_", "_fused_adamw_", "_fused_sgd_"),
)
