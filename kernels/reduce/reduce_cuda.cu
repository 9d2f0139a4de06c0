// The CUDA side of row_dots (a block of threads a row), inverse_roots, column_dots and column_sums (a thread a column).
#include "kernels/common/cuda_kernel.h"
#include "kernels/reduce/reduce.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void dot_of_row(const T* a, const T* b, bool add, float* dots, std::int64_t cols) {
  const std::int64_t row = blockIdx.x;
  float sum = 0.0F;
  for (std::int64_t j = threadIdx.x; j < cols; j += kThreads) {
    sum += to_float(a[row * cols + j]) * to_float(b[row * cols + j]);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    dots[row] = (add ? dots[row] : 0.0F) + sum;
  }
}

__global__ void inverse_root_of_element(float* x, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) {
    x[i] = x[i] > 0.0F ? 1.0F / sqrtf(x[i]) : 0.0F;
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

template <class T>
__global__ void sum_of_column(const T* a, float* sums, std::int64_t rows, std::int64_t cols) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= cols) {
    return;
  }
  float sum = 0.0F;
  for (std::int64_t i = j; i < rows * cols; i += cols) {
    sum += to_float(a[i]);
  }
  sums[j] = sum;
}

}  // namespace

void row_dots_cuda(ConstTensorView a, ConstTensorView b, bool add, TensorView dots, const Stream& stream) {
  require_row_dots(a, b, dots);
  with_float_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("row_dots", dot_of_row<T>, blocks_for(a.rows(), 1), kThreads, 0, stream, floats<T>(a), floats<T>(b), add,
           dots.as<float>(), a.cols());
  });
}

void inverse_roots_cuda(TensorView x, const Stream& stream) {
  require_inverse_roots(x);
  launch("inverse_roots", inverse_root_of_element, blocks_for(x.count(), kThreads), kThreads, 0, stream, x.as<float>(),
         x.count());
}

void column_dots_cuda(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream) {
  require_column_dots(a, b, dots);
  with_float_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("column_dots", dot_of_column<T>, blocks_for(a.cols(), kThreads), kThreads, 0, stream, floats<T>(a), floats<T>(b),
           dots.as<float>(), a.rows(), a.cols());
  });
}

void column_sums_cuda(ConstTensorView a, TensorView sums, const Stream& stream) {
  require_column_sums(a, sums);
  with_float_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("column_sums", sum_of_column<T>, blocks_for(a.cols(), kThreads), kThreads, 0, stream, floats<T>(a), sums.as<float>(),
           a.rows(), a.cols());
  });
}

}  // namespace lora_dist
