// The CUDA side of put_virtual_rows and take_virtual_rows: a thread has a column of a virtual row, in all sequences.
#include "kernels/common/cuda_kernel.h"
#include "kernels/virtual_rows/virtual_rows.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

/// VirtualRows with the shapes of table and x, as a kernel reads them.
struct VirtualShape {
  const std::int32_t* starts = nullptr;
  std::int64_t sequences = 0;
  std::int64_t first_row = 0;
  std::int64_t first_column = 0;
  std::int64_t table_columns = 0;
  std::int64_t rows = 0;   // of x
  std::int64_t width = 0;  // of x
  unsigned blocks_per_row = 0;
};

VirtualShape shape_of(ConstTensorView table, const VirtualRows& at, ConstTensorView x) {
  VirtualShape shape;
  shape.starts = at.starts.as<std::int32_t>();
  shape.sequences = at.starts.count() - 1;
  shape.first_row = at.first_row;
  shape.first_column = at.first_column;
  shape.table_columns = table.cols();
  shape.rows = x.rows();
  shape.width = x.cols();
  shape.blocks_per_row = blocks_for(x.cols(), kThreads);
  return shape;
}

/// This thread's element of the table, row j of it and column of x; -1 past the last column.
struct VirtualElement {
  std::int64_t row;
  std::int64_t column;
  std::int64_t in_table;
};

__device__ VirtualElement this_element(const VirtualShape& shape) {
  const std::int64_t row = blockIdx.x / shape.blocks_per_row;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x % shape.blocks_per_row) * kThreads + threadIdx.x;
  return {row, column, column < shape.width ? row * shape.table_columns + shape.first_column + column : -1};
}

/// The element of x in a sequence; -1 if its row is not in x.
__device__ std::int64_t element_in(const VirtualShape& shape, const VirtualElement& element, std::int64_t sequence) {
  const std::int64_t row = shape.starts[sequence] + element.row - shape.first_row;
  return row >= 0 && row < shape.rows ? row * shape.width + element.column : -1;
}

template <class T>
__global__ void put_element(const float* table, VirtualShape shape, T* x) {
  const VirtualElement element = this_element(shape);
  for (std::int64_t s = 0; s < shape.sequences && element.in_table >= 0; ++s) {
    if (const std::int64_t to = element_in(shape, element, s); to >= 0) {
      x[to] = from_float<T>(table[element.in_table]);
    }
  }
}

template <class T>
__global__ void take_element(T* dx, VirtualShape shape, float scale, float* table) {
  const VirtualElement element = this_element(shape);
  if (element.in_table < 0) {
    return;
  }
  float sum = 0.0F;
  for (std::int64_t s = 0; s < shape.sequences; ++s) {
    if (const std::int64_t from = element_in(shape, element, s); from >= 0) {
      sum += scale * to_float(dx[from]);
      dx[from] = from_float<T>(0.0F);
    }
  }
  table[element.in_table] = sum;
}

}  // namespace

void put_virtual_rows_cuda(ConstTensorView table, const VirtualRows& at, TensorView x, const Stream& stream) {
  check_virtual_rows(table, at, x);
  const VirtualShape shape = shape_of(table, at, x);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("put_virtual_rows", put_element<T>, blocks_for(table.rows() * shape.blocks_per_row, 1), kThreads, 0, stream,
           table.as<float>(), shape, floats<T>(x));
  });
}

void take_virtual_rows_cuda(TensorView dx, const VirtualRows& at, float scale, TensorView table, const Stream& stream) {
  check_virtual_rows(table, at, dx);
  const VirtualShape shape = shape_of(table, at, dx);
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("take_virtual_rows", take_element<T>, blocks_for(table.rows() * shape.blocks_per_row, 1), kThreads, 0, stream,
           floats<T>(dx), shape, scale, table.as<float>());
  });
}

}  // namespace lora_dist
