// The CUDA side of put_columns and take_columns: a thread an element.
#include "kernels/common/cuda_kernel.h"
#include "kernels/elementwise/columns.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void put_one(const T* values, const std::int32_t* index, std::int64_t first, T* x, std::int64_t rows, std::int64_t n,
                        std::int64_t width) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < rows * n) {
    x[i / n * width + index[i % n] - first] = values[i];
  }
}

template <class T>
__global__ void take_one(T* x, const std::int32_t* index, std::int64_t first, T* values, std::int64_t rows, std::int64_t n,
                         std::int64_t width) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < rows * n) {
    T& from = x[i / n * width + index[i % n] - first];
    values[i] = from;
    from = from_float<T>(0.0F);
  }
}

}  // namespace

void put_columns_cuda(ConstTensorView values, ConstTensorView index, std::int64_t first, TensorView x, const Stream& stream) {
  check_columns(x, index, values);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("put_columns", put_one<T>, blocks_for(values.count(), kThreads), kThreads, 0, stream, floats<T>(values),
           index.as<std::int32_t>(), first, floats<T>(x), x.rows(), index.count(), x.cols());
  });
}

void take_columns_cuda(TensorView x, ConstTensorView index, std::int64_t first, TensorView values, const Stream& stream) {
  check_columns(x, index, values);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("take_columns", take_one<T>, blocks_for(values.count(), kThreads), kThreads, 0, stream, floats<T>(x),
           index.as<std::int32_t>(), first, floats<T>(values), x.rows(), index.count(), x.cols());
  });
}

}  // namespace lora_dist
