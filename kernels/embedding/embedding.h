// Rows of a table, by token id or position.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// ids: i32 [tokens], each in [0, vocab) (KernelError otherwise); table: f32, f16 or bf16 [vocab, hidden]; out: f32 [tokens,
/// hidden]. On CUDA out may also be bf16 or f16, and an id outside the table gives a row of NaN, since the host cannot check it.
void embedding_cpu(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream);
void embedding_cuda(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream);

/// out[t] = table[ids[t] - first] for a table [rows, hidden] of a part of the vocabulary, the ids from `first` on. out[t] is
/// unchanged for ids of other parts. Otherwise as embedding.
void embedding_part_cpu(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream);
void embedding_part_cuda(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream);

/// y[t] += table[index[t]]: learned positions on top of embeddings. index: i32 [tokens], each in [0, table rows) (KernelError
/// otherwise); table: f32, f16 or bf16 [rows, hidden]; y: f32 [tokens, hidden]. On CUDA y may also be bf16 or f16, and an index
/// outside the table makes its row NaN.
void add_rows_cpu(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream);
void add_rows_cuda(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream);

inline void embedding(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(embedding, stream, ids, table, out);
}
inline void embedding_part(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(embedding_part, stream, ids, first, table, out);
}
inline void add_rows(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream) {
  LORA_DIST_DISPATCH(add_rows, stream, table, index, y);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_embedding(ConstTensorView ids, ConstTensorView table, ConstTensorView out) {
  require(table.shape.rank == 2, "embedding: the table must be [vocab, hidden]");
  require(table.dtype == DType::f32 || table.dtype == DType::f16 || table.dtype == DType::bf16,
          "embedding: the table must be f32, f16 or bf16");
  require(out.shape == Shape{ids.count(), table.cols()}, "embedding: out must be [tokens, hidden]");
}

}  // namespace lora_dist
