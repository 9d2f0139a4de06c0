// The CUDA side of inverse_row_norms (a block of threads a row) and column_dots (a thread a column).
#include "kernels/common/cuda_kernel.h"
#include "kernels/reduce/reduce.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void inverse_norm_of_row(const T* x, float* inverse, std::int64_t cols) {
  const T* row = x + static_cast<std::int64_t>(blockIdx.x) * cols;
  float sum = 0.0F;
  for (std::int64_t j = threadIdx.x; j < cols; j += kThreads) {
    sum += to_float(row[j]) * to_float(row[j]);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    inverse[blockIdx.x] = 1.0F / sqrtf(sum);
  }
}

template <class T>
__global__ void dot_of_column(const T* a, const T* b, float* dots, std::int64_t rows, std::int64_t cols) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= cols) {
    return;
  }
  float sum = 0.0F;
  for (std::int64_t i = j; i < rows * cols; i += cols) {
    sum += to_float(a[i]) * to_float(b[i]);
  }
  dots[j] = sum;
}

}  // namespace

void inverse_row_norms_cuda(ConstTensorView x, TensorView inverse, const Stream& stream) {
  require_inverse_row_norms(x, inverse);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("inverse_row_norms", inverse_norm_of_row<T>, blocks_for(x.rows(), 1), kThreads, 0, stream, floats<T>(x),
           inverse.as<float>(), x.cols());
  });
}

void column_dots_cuda(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream) {
  require_column_dots(a, b, dots);
  with_float_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("column_dots", dot_of_column<T>, blocks_for(a.cols(), kThreads), kThreads, 0, stream, floats<T>(a), floats<T>(b),
           dots.as<float>(), a.rows(), a.cols());
  });
}

}  // namespace lora_dist
