// Sums along the rows or columns of matrices, in a fixed order.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// dots[i] = the sum over j of a[i, j] * b[i, j], or dots[i] += that. a, b: f32 [rows, cols], on CUDA also both bf16 or both f16;
/// dots: f32 [rows].
void row_dots_cpu(ConstTensorView a, ConstTensorView b, bool add, TensorView dots, const Stream& stream);
void row_dots_cuda(ConstTensorView a, ConstTensorView b, bool add, TensorView dots, const Stream& stream);

/// x = 1 / sqrt(x), or 0 where x is not above 0. x: f32.
void inverse_roots_cpu(TensorView x, const Stream& stream);
void inverse_roots_cuda(TensorView x, const Stream& stream);

/// dots[j] = the sum over i of a[i, j] * b[i, j]. a, b: f32 [rows, cols], on CUDA also both bf16 or both f16; dots: f32 [cols].
void column_dots_cpu(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream);
void column_dots_cuda(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream);

/// sums[j] = the sum over i of a[i, j]. a: f32 [rows, cols], on CUDA also bf16 or f16; sums: f32 [cols].
void column_sums_cpu(ConstTensorView a, TensorView sums, const Stream& stream);
void column_sums_cuda(ConstTensorView a, TensorView sums, const Stream& stream);

inline void row_dots(ConstTensorView a, ConstTensorView b, bool add, TensorView dots, const Stream& stream) {
  LORA_DIST_DISPATCH(row_dots, stream, a, b, add, dots);
}
inline void inverse_roots(TensorView x, const Stream& stream) { LORA_DIST_DISPATCH(inverse_roots, stream, x); }
inline void column_dots(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream) {
  LORA_DIST_DISPATCH(column_dots, stream, a, b, dots);
}

inline void column_sums(ConstTensorView a, TensorView sums, const Stream& stream) {
  LORA_DIST_DISPATCH(column_sums, stream, a, sums);
}

/// Throw KernelError unless the shapes agree.
inline void require_row_dots(ConstTensorView a, ConstTensorView b, ConstTensorView dots) {
  require(a.shape.rank == 2 && a.shape == b.shape && a.dtype == b.dtype && dots.count() == a.rows(),
          "row_dots: a and b must be [rows, cols] of one dtype, dots [rows]");
}
inline void require_inverse_roots(ConstTensorView x) { require(x.dtype == DType::f32, "inverse_roots: x must be f32"); }
inline void require_column_dots(ConstTensorView a, ConstTensorView b, ConstTensorView dots) {
  require(a.shape.rank == 2 && a.shape == b.shape && a.dtype == b.dtype && dots.count() == a.cols(),
          "column_dots: a and b must be [rows, cols] of one dtype, dots [cols]");
}

inline void require_column_sums(ConstTensorView a, ConstTensorView sums) {
  require(a.shape.rank == 2 && sums.count() == a.cols(), "column_sums: a must be [rows, cols], sums [cols]");
}

}  // namespace lora_dist
