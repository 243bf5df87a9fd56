"""Kernels behind the public ops, and private spellings: affine, or left at their tangent.

Models call the public ops; ``torch._VF`` and ``torch._C._nn`` hold what those are made of.
What is affine runs as it is. The rest has no rule on purpose: it is frozen at its tangent,
and reported.
"""

from __future__ import annotations

from captum_ilin.rule import Kind
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

RULES = RuleTable()

RULES.runs(
    Kind.INERT,
    *functions("_VF", "_assert_async", "_assert_scalar", "_assert_tensor_metadata"),
    *functions("_VF", "_cudnn_init_dropout_state", "_cufft_clear_plan_cache"),
    *functions("_VF", "_cufft_get_plan_cache_max_size", "_cufft_get_plan_cache_size"),
    *functions("_VF", "_cufft_set_plan_cache_max_size", "_debug_has_internal_overlap"),
    *functions("_VF", "_functional_assert_async", "_functional_assert_scalar"),
    *functions("_VF", "_functional_sym_constrain_range_for_size", "_fused_sdp_choice"),
    *functions("_VF", "_has_compatible_shallow_copy_type", "_is_zerotensor"),
    *functions("_VF", "_linalg_check_errors", "_nested_compute_contiguous_strides_offsets"),
    *functions("_VF", "_nested_get_jagged_dummy", "_nested_get_lengths"),
    *functions("_VF", "_nested_get_max_seqlen", "_nested_get_min_seqlen"),
    *functions("_VF", "_nested_get_offsets", "_nested_get_ragged_idx", "_nnpack_available"),
    *functions("_VF", "_print", "_shape_as_tensor", "_use_cudnn_ctc_loss"),
    *functions("_VF", "_use_cudnn_rnn_flatten_weight", "_use_miopen_ctc_loss"),
    *functions("_VF", "_validate_compressed_sparse_indices"),
    *functions("_VF", "_validate_sparse_bsc_tensor_args", "_validate_sparse_bsr_tensor_args"),
    *functions("_VF", "_validate_sparse_compressed_tensor_args"),
    *functions("_VF", "_validate_sparse_coo_tensor_args", "_validate_sparse_csc_tensor_args"),
    *functions("_VF", "_validate_sparse_csr_tensor_args"),
    *functions("_nn", "_parse_to"),
)
RULES.runs(
    Kind.CONSTANT,
    *functions("_VF", "_cast_Byte", "_cast_Char", "_cast_Int", "_cast_Long", "_cast_Short"),
    *functions("_VF", "_dim_arange", "_efficientzerotensor", "_from_blob"),
    *functions("_VF", "_histogramdd_bin_edges", "_histogramdd_from_bin_cts"),
    *functions("_VF", "_histogramdd_from_bin_tensors", "_philox_key_fold_in"),
    *functions("_VF", "_philox_key_split", "_sobol_engine_draw", "_unique", "_unique2"),
)
RULES.runs(
    Kind.LINEAR,
    *functions("_VF", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_cast_Double"),
    *functions("_VF", "_cast_Float", "_cast_Half", "_conj", "_conj_physical"),
    *functions("_VF", "_lazy_clone", "_neg_view", "_neg_view_copy", "_pin_memory"),
    *functions("_VF", "_reshape_alias_copy", "_to_cpu"),
    *functions("_nn", "_pad_circular", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa"),
    *functions("_nn", "_upsample_lanczos2d_aa", "_upsample_nearest_exact1d"),
    *functions("_nn", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "col2im"),
    *functions("_nn", "im2col", "max_unpool2d", "max_unpool3d"),
    *functions("_nn", "reflection_pad1d", "reflection_pad2d"),
    *functions("_nn", "reflection_pad3d", "replication_pad1d", "replication_pad2d"),
    *functions("_nn", "replication_pad3d", "unflatten_dense_tensors", "upsample_bicubic2d"),
    *functions("_nn", "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d"),
    *functions("_nn", "upsample_nearest2d", "upsample_nearest3d", "upsample_trilinear3d"),
)
RULES.runs(
    Kind.LINEAR,
    *functions("_nn", "fractional_max_pool2d", "fractional_max_pool3d"),
    *functions("_nn", "max_pool2d_with_indices", "max_pool3d_with_indices"),
    is_piecewise=True,
)
RULES.runs(
    Kind.AFFINE,
    *functions("_nn", "_pad_enum", "flatten_dense_tensors"),
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
    *functions("_VF", "_add_relu", "_add_relu_", "_addmm_activation", "_aminmax"),
    *functions("_VF", "_batch_norm_impl_index", "_choose_qparams_per_tensor"),
    *functions("_VF", "_compute_linear_combination", "_convolution", "_convolution_mode"),
    *functions("_VF", "_ctc_loss", "_cudnn_ctc_loss", "_cudnn_rnn"),
    *functions("_VF", "_cudnn_rnn_flatten_weight", "_cummax_helper", "_cummin_helper"),
    *functions("_VF", "_dirichlet_grad", "_embedding_bag", "_embedding_bag_forward_only"),
    *functions("_VF", "_euclidean_dist", "_fft_c2c", "_fft_c2r", "_fft_r2c"),
    *functions("_VF", "_flash_attention_forward_no_dropout_inplace", "_fused_dropout"),
    *functions("_VF", "_fused_rms_norm", "_grid_sampler_2d_cpu_fallback"),
    *functions("_VF", "_index_put_impl_", "_linalg_det", "_linalg_eigh", "_linalg_slogdet"),
    *functions("_VF", "_linalg_solve_ex", "_linalg_svd", "_log_softmax"),
    *functions("_VF", "_log_softmax_backward_data", "_logcumsumexp", "_lstm_mps"),
    *functions("_VF", "_lu_with_info", "_masked_scale", "_masked_softmax"),
    *functions("_VF", "_mps_convolution", "_mps_convolution_transpose"),
    *functions("_VF", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
    *functions("_VF", "_native_multi_head_attention", "_nnpack_spatial_convolution"),
    *functions("_VF", "_prelu_kernel", "_reshape_from_tensor", "_safe_softmax"),
    *functions("_VF", "_sample_dirichlet", "_scaled_dot_product_attention_math"),
    *functions("_VF", "_scaled_dot_product_attention_math_for_mps"),
    *functions("_VF", "_scaled_dot_product_cudnn_attention"),
    *functions("_VF", "_scaled_dot_product_efficient_attention"),
    *functions("_VF", "_scaled_dot_product_flash_attention"),
    *functions("_VF", "_scaled_dot_product_flash_attention_for_cpu", "_softmax"),
    *functions("_VF", "_softmax_backward_data", "_standard_gamma", "_standard_gamma_grad"),
    *functions("_VF", "_transform_bias_rescale_qkv", "_transformer_encoder_layer_fwd"),
    *functions("_VF", "_trilinear", "_triton_multi_head_attention"),
    *functions("_VF", "_triton_scaled_dot_attention", "_unsafe_index", "_unsafe_index_put"),
    *functions("_VF", "_unsafe_masked_index", "_unsafe_masked_index_put_accumulate"),
    *functions("_VF", "_weight_norm", "_weight_norm_interface"),
    *functions("_nn", "_conv_depthwise2d", "binary_cross_entropy", "conv_depthwise3d"),
    *functions("_nn", "cross_entropy_loss", "huber_loss", "l1_loss", "mse_loss"),
    *functions("_nn", "multi_margin_loss", "multilabel_margin_loss", "nll_loss"),
    *functions("_nn", "nll_loss2d", "nll_loss_nd", "rrelu_with_noise", "rrelu_with_noise_"),
    *functions("_nn", "slow_conv3d", "slow_conv_dilated2d", "slow_conv_dilated3d"),
    *functions("_nn", "slow_conv_transpose2d", "slow_conv_transpose3d", "smooth_l1_loss"),
    *functions("_nn", "soft_margin_loss", "thnn_conv2d"),
)
RULES.leaves(
    "it works on lists of tensors, as optimizers do and models do not",
    *functions("_VF", "_foreach_abs", "_foreach_acos", "_foreach_add", "_foreach_addcdiv"),
    *functions("_VF", "_foreach_addcmul", "_foreach_asin", "_foreach_atan", "_foreach_ceil"),
    *functions("_VF", "_foreach_clamp_max", "_foreach_clamp_min", "_foreach_clone"),
    *functions("_VF", "_foreach_cos", "_foreach_cosh", "_foreach_div", "_foreach_erf"),
    *functions("_VF", "_foreach_erfc", "_foreach_exp", "_foreach_expm1", "_foreach_floor"),
    *functions("_VF", "_foreach_frac", "_foreach_lerp", "_foreach_lgamma", "_foreach_log"),
    *functions("_VF", "_foreach_log10", "_foreach_log1p", "_foreach_log2", "_foreach_max"),
    *functions("_VF", "_foreach_maximum", "_foreach_minimum", "_foreach_mm", "_foreach_mul"),
    *functions("_VF", "_foreach_neg", "_foreach_norm", "_foreach_pow", "_foreach_powsum"),
    *functions("_VF", "_foreach_reciprocal", "_foreach_round", "_foreach_rsqrt"),
    *functions("_VF", "_foreach_sigmoid", "_foreach_sign", "_foreach_sin", "_foreach_sinh"),
    *functions("_VF", "_foreach_sqrt", "_foreach_sub", "_foreach_tan", "_foreach_tanh"),
    *functions("_VF", "_foreach_trunc"),
)
RULES.leaves(
    "it belongs to PyTorch's own tests",
    *functions("_VF", "_foobar", "_test_autograd_multiple_dispatch"),
    *functions("_VF", "_test_autograd_multiple_dispatch_view"),
    *functions("_VF", "_test_autograd_multiple_dispatch_view_copy", "_test_check_tensor"),
    *functions("_VF", "_test_functorch_fallback", "_test_parallel_materialize"),
    *functions("_VF", "_test_serialization_subcmul"),
    *functions("_nn", "_test_ambiguous_defaults", "_test_optional_filled_intlist"),
    *functions("_nn", "_test_optional_floatlist", "_test_optional_intlist"),
    *functions("_nn", "_test_string_default", "_test_warn_in_autograd"),
)
