// The gradient of an embedding's rows, where these are trained.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// table[ids[t] - first] += scale * dx[t], for ids of the table's rows; other tokens add nothing. ids: i32 [tokens]; dx: f32
/// [tokens, hidden], on CUDA also bf16 or f16; table: f32 [rows, hidden], the gradient of the part of the vocabulary that begins
/// with `first`. With numbers in a list of rows instead of ids (first 0; negative: not in the list), the table is that of the
/// list. Tokens of the same row are added in ascending t, so the bits do not depend on the number of threads.
void embedding_gradient_cpu(ConstTensorView ids, std::int64_t first, ConstTensorView dx, float scale, TensorView table,
                            const Stream& stream);
void embedding_gradient_cuda(ConstTensorView ids, std::int64_t first, ConstTensorView dx, float scale, TensorView table,
                             const Stream& stream);

inline void embedding_gradient(ConstTensorView ids, std::int64_t first, ConstTensorView dx, float scale, TensorView table,
                               const Stream& stream) {
  LORA_DIST_DISPATCH(embedding_gradient, stream, ids, first, dx, scale, table);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_embedding_gradient(ConstTensorView ids, ConstTensorView dx, ConstTensorView table) {
  require(table.shape.rank == 2 && table.dtype == DType::f32, "embedding_gradient: the table must be f32 [rows, hidden]");
  require(dx.shape == Shape{ids.count(), table.cols()}, "embedding_gradient: dx must be [tokens, hidden]");
}

}  // namespace lora_dist
