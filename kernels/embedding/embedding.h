// Rows of a table, by token id or position.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// ids: i32 [tokens], each in [0, vocab) (KernelError otherwise); table: f32, f16 or bf16 [vocab, hidden]; out: f32 [tokens,
/// hidden]. On CUDA out may also be bf16 or f16, and an id outside the table gives a row of NaN: the host cannot see it.
void embedding_cpu(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream);
void embedding_cuda(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream);

/// y[t] += table[index[t]]: learned positions on top of embeddings. index: i32 [tokens], each in [0, table rows) (KernelError
/// otherwise); table: f32, f16 or bf16 [rows, hidden]; y: f32 [tokens, hidden]. On CUDA y may also be bf16 or f16, and an index
/// outside the table makes its row NaN.
void add_rows_cpu(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream);
void add_rows_cuda(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream);

inline void embedding(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(embedding, stream, ids, table, out);
}
inline void add_rows(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream) {
  LORA_DIST_DISPATCH(add_rows, stream, table, index, y);
}

}  // namespace lora_dist
