// Gather and scatter of rows: the loss is computed for target tokens only.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// out[i] = x[index[i]]. x: f32 [tokens, width]; index: i32 [n], each in [0, tokens) (KernelError otherwise); out: f32 [n,
/// width]. On CUDA x and out may also be both bf16 or both f16, and an index outside x gives a row of NaN, since the host cannot
/// check it.
void gather_rows_cpu(ConstTensorView x, ConstTensorView index, TensorView out, const Stream& stream);
void gather_rows_cuda(ConstTensorView x, ConstTensorView index, TensorView out, const Stream& stream);

/// x[index[i]] = rows[i], all other rows of x are set to zero. The indices rise.
/// On CUDA rows and x may also be both bf16 or both f16. An index outside x makes all of x NaN; that the indices rise is not
/// checked there.
void scatter_rows_cpu(ConstTensorView rows, ConstTensorView index, TensorView x, const Stream& stream);
void scatter_rows_cuda(ConstTensorView rows, ConstTensorView index, TensorView x, const Stream& stream);

inline void gather_rows(ConstTensorView x, ConstTensorView index, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(gather_rows, stream, x, index, out);
}
inline void scatter_rows(ConstTensorView rows, ConstTensorView index, TensorView x, const Stream& stream) {
  LORA_DIST_DISPATCH(scatter_rows, stream, rows, index, x);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_rows(ConstTensorView whole, ConstTensorView index, ConstTensorView part) {
  require(whole.shape.rank == 2, "rows: x must be [tokens, width]");
  require(part.shape == Shape{index.count(), whole.cols()}, "rows: the picked rows must be [n, width]");
}

}  // namespace lora_dist
