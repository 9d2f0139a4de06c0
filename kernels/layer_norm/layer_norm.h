// LayerNorm (Ba, Kiros and Hinton, 2016): y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(mean((x - mean)^2) + eps).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// x: f32 [tokens, hidden]; weight, bias: f32 [hidden]; y: f32 [tokens, hidden], may be x; mean, rstd: f32 [tokens], kept for
/// backward. On CUDA x and y are both f32, both bf16 or both f16; the arithmetic is in f32.
void layer_norm_cpu(ConstTensorView x, ConstTensorView weight, ConstTensorView bias, float eps, TensorView y, TensorView mean,
                    TensorView rstd, const Stream& stream);
void layer_norm_cuda(ConstTensorView x, ConstTensorView weight, ConstTensorView bias, float eps, TensorView y, TensorView mean,
                     TensorView rstd, const Stream& stream);

/// Adds the gradient that reaches x to dx (the residual path has already put its own there). Weight and bias are frozen.
/// dy, x, dx: f32 [tokens, hidden]; weight: f32 [hidden]; mean, rstd: f32 [tokens] from the forward.
/// On CUDA dy, x and dx are all f32, all bf16 or all f16.
/// With n_i = (x_i - mean) * rstd and g_i = w_i dy_i: dx_i += rstd * (g_i - mean_j(g_j) - n_i * mean_j(g_j n_j)).
void layer_norm_backward_cpu(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView mean,
                             ConstTensorView rstd, TensorView dx, const Stream& stream);
void layer_norm_backward_cuda(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView mean,
                              ConstTensorView rstd, TensorView dx, const Stream& stream);

inline void layer_norm(ConstTensorView x, ConstTensorView weight, ConstTensorView bias, float eps, TensorView y, TensorView mean,
                       TensorView rstd, const Stream& stream) {
  LORA_DIST_DISPATCH(layer_norm, stream, x, weight, bias, eps, y, mean, rstd);
}
inline void layer_norm_backward(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView mean,
                                ConstTensorView rstd, TensorView dx, const Stream& stream) {
  LORA_DIST_DISPATCH(layer_norm_backward, stream, dy, x, weight, mean, rstd, dx);
}

}  // namespace lora_dist
