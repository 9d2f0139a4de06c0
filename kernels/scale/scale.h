// Scaling of a matrix by one factor per row or per column.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// y[i, j] = factors[i] * x[i, j]. x, y: f32 [rows, cols], y may be x, on CUDA also both bf16 or both f16; factors: f32 [rows].
void scale_rows_cpu(ConstTensorView x, ConstTensorView factors, TensorView y, const Stream& stream);
void scale_rows_cuda(ConstTensorView x, ConstTensorView factors, TensorView y, const Stream& stream);

/// The optional addends of scale_columns.
struct ColumnsAdded {
  ConstTensorView onto;  // like y, may alias y; null: none
  ConstTensorView bias;  // [cols] in y's dtype; null: none
};
/// y[i, j] = factors[j] * x[i, j] + onto[i, j] + bias[j]. x, y as above, y may be x; factors: f32 [cols].
void scale_columns_cpu(ConstTensorView x, ConstTensorView factors, const ColumnsAdded& added, TensorView y, const Stream& stream);
void scale_columns_cuda(ConstTensorView x, ConstTensorView factors, const ColumnsAdded& added, TensorView y,
                        const Stream& stream);

inline void scale_rows(ConstTensorView x, ConstTensorView factors, TensorView y, const Stream& stream) {
  LORA_DIST_DISPATCH(scale_rows, stream, x, factors, y);
}
inline void scale_columns(ConstTensorView x, ConstTensorView factors, const ColumnsAdded& added, TensorView y,
                          const Stream& stream) {
  LORA_DIST_DISPATCH(scale_columns, stream, x, factors, added, y);
}

/// Throws KernelError unless the shapes agree.
inline void require_scaled(ConstTensorView x, std::int64_t expected_factors, ConstTensorView factors, ConstTensorView y) {
  require(x.shape.rank == 2 && x.shape == y.shape && x.dtype == y.dtype, "scale: x and y must be [rows, cols] of one dtype");
  require(factors.count() == expected_factors, "scale: as many factors as rows, or as columns");
}
inline void require_added(const ColumnsAdded& added, ConstTensorView y) {
  require(added.onto.data == nullptr || (added.onto.shape == y.shape && added.onto.dtype == y.dtype),
          "scale_columns: what is added must have the shape and dtype of y");
  require(added.bias.data == nullptr || (added.bias.count() == y.cols() && added.bias.dtype == y.dtype),
          "scale_columns: the bias must have the columns and dtype of y");
}

}  // namespace lora_dist
