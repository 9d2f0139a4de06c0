// RMSNorm of rows that ranks share: each rank has some columns. It sums over its columns, the sums are added over the ranks, and
// each rank norms its columns. Backward alike. With one rank the whole row is one part.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// sums[t] = the sum of x[t, i]^2. x: f32 [tokens, part], on CUDA also bf16 or f16; sums: f32 [tokens].
void square_sums_cpu(ConstTensorView x, TensorView sums, const Stream& stream);
void square_sums_cuda(ConstTensorView x, TensorView sums, const Stream& stream);

/// sums: of whole rows, f32 [tokens]; width: columns of a whole row; the others as in rms_norm.h: y = x * rstd * weight, rstd =
/// 1 / sqrt(sums / width + eps). y may be x.
struct SharedRmsNorm {
  ConstTensorView x;
  ConstTensorView weight;
  ConstTensorView sums;
  std::int64_t width = 0;
  float eps = 0.0F;
  TensorView y;
  TensorView rstd;
};
void rms_norm_shared_cpu(const SharedRmsNorm& a, const Stream& stream);
void rms_norm_shared_cuda(const SharedRmsNorm& a, const Stream& stream);

/// dots[t] = the sum of weight[i] dy[t, i] x[t, i]. dots: f32 [tokens].
void rms_norm_dots_cpu(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, TensorView dots, const Stream& stream);
void rms_norm_dots_cuda(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, TensorView dots, const Stream& stream);

/// dx = rstd * (weight * dy - x * rstd^2 * dots / width): written, unlike rms_norm_backward's; dx may be dy. dots: of whole rows.
struct SharedRmsNormBackward {
  ConstTensorView dy;
  ConstTensorView x;
  ConstTensorView weight;
  ConstTensorView rstd;
  ConstTensorView dots;
  std::int64_t width = 0;
  TensorView dx;
};
void rms_norm_shared_backward_cpu(const SharedRmsNormBackward& a, const Stream& stream);
void rms_norm_shared_backward_cuda(const SharedRmsNormBackward& a, const Stream& stream);

inline void square_sums(ConstTensorView x, TensorView sums, const Stream& stream) {
  LORA_DIST_DISPATCH(square_sums, stream, x, sums);
}
inline void rms_norm_shared(const SharedRmsNorm& a, const Stream& stream) { LORA_DIST_DISPATCH(rms_norm_shared, stream, a); }
inline void rms_norm_dots(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, TensorView dots, const Stream& stream) {
  LORA_DIST_DISPATCH(rms_norm_dots, stream, dy, x, weight, dots);
}
inline void rms_norm_shared_backward(const SharedRmsNormBackward& a, const Stream& stream) {
  LORA_DIST_DISPATCH(rms_norm_shared_backward, stream, a);
}

/// Throw KernelError unless the views have the shapes above.
inline void check_square_sums(ConstTensorView x, ConstTensorView sums) {
  require(x.shape.rank == 2 && sums.count() == x.rows(), "square_sums: x must be [tokens, part], sums [tokens]");
}
inline void check_rms_norm_shared(const SharedRmsNorm& a) {
  require(a.x.shape.rank == 2 && a.x.shape == a.y.shape && a.x.dtype == a.y.dtype,
          "rms_norm_shared: x and y must be [tokens, part] of one dtype");
  require(a.weight.count() == a.x.cols() && a.width >= a.x.cols(), "rms_norm_shared: weight must be [part], a part of the width");
  require(a.sums.count() == a.x.rows() && a.rstd.count() == a.x.rows(), "rms_norm_shared: sums and rstd must be [tokens]");
}
inline void check_rms_norm_dots(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView dots) {
  require(x.shape.rank == 2 && x.shape == dy.shape && x.dtype == dy.dtype, "rms_norm_dots: dy and x must be [tokens, part]");
  require(weight.count() == x.cols() && dots.count() == x.rows(), "rms_norm_dots: weight must be [part], dots [tokens]");
}
inline void check_rms_norm_shared_backward(const SharedRmsNormBackward& a) {
  check_rms_norm_dots(a.dy, a.x, a.weight, a.dots);
  require(a.dx.shape == a.x.shape && a.dx.dtype == a.x.dtype, "rms_norm_shared_backward: dx must be [tokens, part]");
  require(a.rstd.count() == a.x.rows() && a.width >= a.x.cols(),
          "rms_norm_shared_backward: rstd must be [tokens], the part no wider than the whole");
}

}  // namespace lora_dist
