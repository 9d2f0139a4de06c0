// Rows that an adapter puts before the tokens of every sequence of a batch: virtual tokens.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// The place of virtual row j of sequence s: row starts[s] + j of the batch, of which x may be a part.
struct VirtualRows {
  ConstTensorView starts;         // i32 [sequences + 1]: the rows where sequences begin, virtual rows included
  std::int64_t first_row = 0;     // x[0] is this row of the batch
  std::int64_t first_column = 0;  // of the table: x has the width of some of its columns
};

/// x[starts[s] + j - first_row] = table[j, columns], for every sequence, where x has the row. table: f32 [virtual rows, columns];
/// x: f32 [rows, width], on CUDA also bf16 or f16. Sequences are at least as long as the table (KernelError; not checked on
/// CUDA).
void put_virtual_rows_cpu(ConstTensorView table, const VirtualRows& at, TensorView x, const Stream& stream);
void put_virtual_rows_cuda(ConstTensorView table, const VirtualRows& at, TensorView x, const Stream& stream);

/// The backward: table[j, columns] = scale * the sum over sequences, in their order, of dx[starts[s] + j - first_row]; those rows
/// of dx become zero. dx: f32 [rows, width], on CUDA also bf16 or f16; table: f32.
void take_virtual_rows_cpu(TensorView dx, const VirtualRows& at, float scale, TensorView table, const Stream& stream);
void take_virtual_rows_cuda(TensorView dx, const VirtualRows& at, float scale, TensorView table, const Stream& stream);

inline void put_virtual_rows(ConstTensorView table, const VirtualRows& at, TensorView x, const Stream& stream) {
  LORA_DIST_DISPATCH(put_virtual_rows, stream, table, at, x);
}
inline void take_virtual_rows(TensorView dx, const VirtualRows& at, float scale, TensorView table, const Stream& stream) {
  LORA_DIST_DISPATCH(take_virtual_rows, stream, dx, at, scale, table);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_virtual_rows(ConstTensorView table, const VirtualRows& at, ConstTensorView x) {
  require(table.shape.rank == 2 && table.dtype == DType::f32, "virtual rows: the table must be f32 [virtual rows, columns]");
  require(x.shape.rank == 2 && at.first_column >= 0 && at.first_column + x.cols() <= table.cols(),
          "virtual rows: x must be [rows, width], as wide as some columns of the table");
  require(at.starts.count() >= 1, "virtual rows: the starts must be [sequences + 1]");
}

}  // namespace lora_dist
