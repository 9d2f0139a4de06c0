// Single columns of a matrix: the logits of tokens whose rows of the head are trained.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// x[i, index[j] - first] = values[i, j]. values: f32 [rows, n]; index: i32 [n], all different and each a column of x after
/// subtracting `first` (KernelError otherwise); x: f32 [rows, width]. On CUDA values and x may also be both bf16 or both f16, and
/// the index is not checked.
void put_columns_cpu(ConstTensorView values, ConstTensorView index, std::int64_t first, TensorView x, const Stream& stream);
void put_columns_cuda(ConstTensorView values, ConstTensorView index, std::int64_t first, TensorView x, const Stream& stream);

/// values[i, j] = x[i, index[j] - first], which becomes zero. Otherwise as put_columns.
void take_columns_cpu(TensorView x, ConstTensorView index, std::int64_t first, TensorView values, const Stream& stream);
void take_columns_cuda(TensorView x, ConstTensorView index, std::int64_t first, TensorView values, const Stream& stream);

inline void put_columns(ConstTensorView values, ConstTensorView index, std::int64_t first, TensorView x, const Stream& stream) {
  LORA_DIST_DISPATCH(put_columns, stream, values, index, first, x);
}
inline void take_columns(TensorView x, ConstTensorView index, std::int64_t first, TensorView values, const Stream& stream) {
  LORA_DIST_DISPATCH(take_columns, stream, x, index, first, values);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_columns(ConstTensorView whole, ConstTensorView index, ConstTensorView part) {
  require(whole.shape.rank == 2 && whole.dtype == part.dtype, "columns: x must be [rows, width], of the dtype of the values");
  require(part.shape == Shape{whole.rows(), index.count()}, "columns: the values must be [rows, n]");
}

}  // namespace lora_dist
