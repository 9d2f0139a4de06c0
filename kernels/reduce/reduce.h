// Sums along the rows or columns of matrices, in a fixed order.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// inverse[i] = 1 / the Euclidean length of row i, infinity of a row of zeros. x: f32 [rows, cols], on CUDA also bf16 or f16;
/// inverse: f32 [rows].
void inverse_row_norms_cpu(ConstTensorView x, TensorView inverse, const Stream& stream);
void inverse_row_norms_cuda(ConstTensorView x, TensorView inverse, const Stream& stream);

/// dots[j] = the sum over i of a[i, j] * b[i, j]. a, b: f32 [rows, cols], on CUDA also both bf16 or both f16; dots: f32 [cols].
void column_dots_cpu(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream);
void column_dots_cuda(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream);

inline void inverse_row_norms(ConstTensorView x, TensorView inverse, const Stream& stream) {
  LORA_DIST_DISPATCH(inverse_row_norms, stream, x, inverse);
}
inline void column_dots(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream) {
  LORA_DIST_DISPATCH(column_dots, stream, a, b, dots);
}

/// Throw KernelError unless the shapes agree.
inline void require_inverse_row_norms(ConstTensorView x, ConstTensorView inverse) {
  require(x.shape.rank == 2 && inverse.count() == x.rows(), "inverse_row_norms: x must be [rows, cols], inverse [rows]");
}
inline void require_column_dots(ConstTensorView a, ConstTensorView b, ConstTensorView dots) {
  require(a.shape.rank == 2 && a.shape == b.shape && a.dtype == b.dtype && dots.count() == a.cols(),
          "column_dots: a and b must be [rows, cols] of one dtype, dots [cols]");
}

}  // namespace lora_dist
