// The CUDA side of scale_rows and scale_columns: an element a thread.
#include "kernels/common/cuda_kernel.h"
#include "kernels/scale/scale.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void scale_each_row(const T* x, const float* factors, T* y, std::int64_t count, std::int64_t cols) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) {
    y[i] = from_float<T>(factors[i / cols] * to_float(x[i]));
  }
}

template <class T>
__global__ void scale_each_column(const T* x, const float* factors, const T* onto, const T* bias, T* y, std::int64_t count,
                                  std::int64_t cols) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) {
    const std::int64_t j = i % cols;
    const float sum = (onto == nullptr ? 0.0F : to_float(onto[i])) + (bias == nullptr ? 0.0F : to_float(bias[j]));
    y[i] = from_float<T>(factors[j] * to_float(x[i]) + sum);
  }
}

template <class T>
const T* floats_or_null(ConstTensorView view) {
  return view.data == nullptr ? nullptr : floats<T>(view);
}

}  // namespace

void scale_rows_cuda(ConstTensorView x, ConstTensorView factors, TensorView y, const Stream& stream) {
  require_scaled(x, x.rows(), factors, y);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("scale_rows", scale_each_row<T>, blocks_for(x.count(), kThreads), kThreads, 0, stream, floats<T>(x),
           factors.as<float>(), floats<T>(y), x.count(), x.cols());
  });
}

void scale_columns_cuda(ConstTensorView x, ConstTensorView factors, const ColumnsAdded& added, TensorView y,
                        const Stream& stream) {
  require_scaled(x, x.cols(), factors, y);
  require_added(added, y);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("scale_columns", scale_each_column<T>, blocks_for(x.count(), kThreads), kThreads, 0, stream, floats<T>(x),
           factors.as<float>(), floats_or_null<T>(added.onto), floats_or_null<T>(added.bias), floats<T>(y), x.count(), x.cols());
  });
}

}  // namespace lora_dist
