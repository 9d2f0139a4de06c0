// Embedding over a part of the vocabulary.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// out[t] = table[ids[t] - first]; where that id belongs to another part, out[t] stays as it is. ids: i32 [tokens]; table: f32,
/// f16 or bf16 [rows, hidden]: the ids from `first` on; out: f32 [tokens, hidden], on CUDA also bf16 or f16.
void embedding_part_cpu(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream);
void embedding_part_cuda(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream);

inline void embedding_part(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(embedding_part, stream, ids, first, table, out);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_embedding_part(ConstTensorView ids, ConstTensorView table, ConstTensorView out) {
  require(table.shape.rank == 2, "embedding_part: the table must be [rows, hidden]");
  require(out.shape == Shape{ids.count(), table.cols()}, "embedding_part: out must be [tokens, hidden]");
}

}  // namespace lora_dist
