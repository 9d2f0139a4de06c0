// The gradients of weight and bias of RMSNorm and LayerNorm, where these are trained.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// dy, x: [tokens, width], both f32, on CUDA also both bf16 or both f16; mean (null: RMSNorm), rstd: f32 [tokens] from the
/// forward; dweight, dbias (null: the norm has none): f32 [width].
struct NormGradientArguments {
  ConstTensorView dy;
  ConstTensorView x;
  ConstTensorView mean;
  ConstTensorView rstd;
  TensorView dweight;
  TensorView dbias;
};

/// dweight_j += sum_i dy_ij * (x_ij - mean_i) * rstd_i; dbias_j += sum_i dy_ij; in ascending i.
void norm_gradient_cpu(const NormGradientArguments& a, const Stream& stream);
void norm_gradient_cuda(const NormGradientArguments& a, const Stream& stream);

inline void norm_gradient(const NormGradientArguments& a, const Stream& stream) { LORA_DIST_DISPATCH(norm_gradient, stream, a); }

/// Throws KernelError unless the views have the shapes above.
inline void check_norm_gradient(const NormGradientArguments& a) {
  require(a.x.shape.rank == 2 && a.x.shape == a.dy.shape && a.x.dtype == a.dy.dtype,
          "norm_gradient: dy and x must be [tokens, width] of one dtype");
  require(a.rstd.count() == a.x.rows() && (a.mean.data == nullptr || a.mean.count() == a.x.rows()),
          "norm_gradient: mean and rstd must be [tokens]");
  require(a.dweight.count() == a.x.cols() && (a.dbias.data == nullptr || a.dbias.count() == a.x.cols()),
          "norm_gradient: dweight and dbias must be [width]");
}

}  // namespace lora_dist
