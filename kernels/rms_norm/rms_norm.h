// RMSNorm (Zhang and Sennrich, 2019), as Llama uses it: y = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + eps).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// x: f32 [tokens, hidden]; weight: f32 [hidden]; y: f32 [tokens, hidden], may be x; rstd: f32 [tokens], saved for backward.
/// On CUDA x and y are both f32, both bf16 or both f16; the arithmetic is in f32.
void rms_norm_cpu(ConstTensorView x, ConstTensorView weight, float eps, TensorView y, TensorView rstd, const Stream& stream);
void rms_norm_cuda(ConstTensorView x, ConstTensorView weight, float eps, TensorView y, TensorView rstd, const Stream& stream);

/// Adds the gradient of x to dx (which already holds that of the residual path). The weight is frozen.
/// dy, x, dx: f32 [tokens, hidden]; weight: f32 [hidden]; rstd: f32 [tokens] from the forward.
/// On CUDA dy, x and dx are all f32, all bf16 or all f16.
/// dx_i += rstd * (w_i dy_i - x_i * rstd^2 * mean_j(w_j dy_j x_j)).
void rms_norm_backward_cpu(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView rstd, TensorView dx,
                           const Stream& stream);
void rms_norm_backward_cuda(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView rstd, TensorView dx,
                            const Stream& stream);

inline void rms_norm(ConstTensorView x, ConstTensorView weight, float eps, TensorView y, TensorView rstd, const Stream& stream) {
  LORA_DIST_DISPATCH(rms_norm, stream, x, weight, eps, y, rstd);
}
inline void rms_norm_backward(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView rstd, TensorView dx,
                              const Stream& stream) {
  LORA_DIST_DISPATCH(rms_norm_backward, stream, dy, x, weight, rstd, dx);
}

}  // namespace lora_dist
