// LayerNorm (Ba, Kiros and Hinton, 2016): y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(mean((x - mean)^2) + eps).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// x: f32 [tokens, hidden]; weight, bias: f32 [hidden]; y: f32 [tokens, hidden], may be x; mean, rstd: f32 [tokens], saved for
/// backward. On CUDA x and y are both f32, both bf16 or both f16; the arithmetic is in f32.
struct LayerNormArguments {
  ConstTensorView x;
  ConstTensorView weight;
  ConstTensorView bias;
  float eps = 0.0F;
  TensorView y;
  TensorView mean;
  TensorView rstd;
};

void layer_norm_cpu(const LayerNormArguments& a, const Stream& stream);
void layer_norm_cuda(const LayerNormArguments& a, const Stream& stream);

/// dy, x, dx: f32 [tokens, hidden]; weight: f32 [hidden]; mean, rstd: f32 [tokens] from the forward.
/// On CUDA dy, x and dx are all f32, all bf16 or all f16.
struct LayerNormBackwardArguments {
  ConstTensorView dy;
  ConstTensorView x;
  ConstTensorView weight;
  ConstTensorView mean;
  ConstTensorView rstd;
  TensorView dx;
};

/// Adds the gradient of x to dx (which already holds that of the residual path). Weight and bias are frozen.
/// With n_i = (x_i - mean) * rstd and g_i = w_i dy_i: dx_i += rstd * (g_i - mean_j(g_j) - n_i * mean_j(g_j n_j)).
void layer_norm_backward_cpu(const LayerNormBackwardArguments& a, const Stream& stream);
void layer_norm_backward_cuda(const LayerNormBackwardArguments& a, const Stream& stream);

inline void layer_norm(const LayerNormArguments& a, const Stream& stream) { LORA_DIST_DISPATCH(layer_norm, stream, a); }
inline void layer_norm_backward(const LayerNormBackwardArguments& a, const Stream& stream) {
  LORA_DIST_DISPATCH(layer_norm_backward, stream, a);
}

/// Throw KernelError unless the views have the shapes above.
inline void check_layer_norm(const LayerNormArguments& a) {
  require(a.x.shape.rank == 2 && a.x.shape == a.y.shape, "layer_norm: x and y must be [tokens, hidden]");
  require(a.weight.count() == a.x.cols() && a.bias.count() == a.x.cols(), "layer_norm: weight and bias must be [hidden]");
  require(a.mean.count() == a.x.rows() && a.rstd.count() == a.x.rows(), "layer_norm: mean and rstd must be [tokens]");
}
inline void check_layer_norm_backward(const LayerNormBackwardArguments& a) {
  require(a.x.shape.rank == 2 && a.x.shape == a.dy.shape && a.x.shape == a.dx.shape,
          "layer_norm_backward: dy, x and dx must be [tokens, hidden]");
  require(a.weight.count() == a.x.cols(), "layer_norm_backward: weight must be [hidden]");
  require(a.mean.count() == a.x.rows() && a.rstd.count() == a.x.rows(), "layer_norm_backward: mean and rstd must be [tokens]");
}

}  // namespace lora_dist
