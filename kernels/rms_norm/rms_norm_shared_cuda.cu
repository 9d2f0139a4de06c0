// The CUDA side of RMSNorm over rows that ranks share: a block of threads a token.
#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"
#include "kernels/rms_norm/rms_norm_shared.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void square_sums_row(const T* x, float* sums, std::int64_t part) {
  const T* row = x + blockIdx.x * part;
  float sum = 0.0F;
  for (std::int64_t i = threadIdx.x; i < part; i += kThreads) {
    const float value = to_float(row[i]);
    sum += value * value;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
  }
}

template <class T>
__global__ void rms_norm_shared_row(const T* x, const float* weight, const float* sums, float width, float eps, T* y, float* rstd,
                                    std::int64_t part) {
  const float r = 1.0F / sqrtf(sums[blockIdx.x] / width + eps);
  if (threadIdx.x == 0) {
    rstd[blockIdx.x] = r;
  }
  for (std::int64_t i = threadIdx.x; i < part; i += kThreads) {
    const std::int64_t at = blockIdx.x * part + i;
    y[at] = from_float<T>(to_float(x[at]) * r * weight[i]);
  }
}

template <class T>
__global__ void rms_norm_dots_row(const T* dy, const T* x, const float* weight, float* dots, std::int64_t part) {
  float dot = 0.0F;
  for (std::int64_t i = threadIdx.x; i < part; i += kThreads) {
    const std::int64_t at = blockIdx.x * part + i;
    dot += weight[i] * to_float(dy[at]) * to_float(x[at]);
  }
  dot = block_sum(dot);
  if (threadIdx.x == 0) {
    dots[blockIdx.x] = dot;
  }
}

template <class T>
__global__ void rms_norm_shared_backward_row(const T* dy, const T* x, const float* weight, const float* rstd, const float* dots,
                                             float width, T* dx, std::int64_t part) {
  const float r = rstd[blockIdx.x];
  const float along_x = dots[blockIdx.x] / width * r * r;
  for (std::int64_t i = threadIdx.x; i < part; i += kThreads) {
    const std::int64_t at = blockIdx.x * part + i;
    dx[at] = from_float<T>(r * (weight[i] * to_float(dy[at]) - to_float(x[at]) * along_x));
  }
}

}  // namespace

void square_sums_cuda(ConstTensorView x, TensorView sums, const Stream& stream) {
  check_square_sums(x, sums);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("square_sums", square_sums_row<T>, blocks_for(x.rows(), 1), kThreads, 0, stream, floats<T>(x), sums.as<float>(),
           x.cols());
  });
}

void rms_norm_shared_cuda(const SharedRmsNorm& a, const Stream& stream) {
  check_rms_norm_shared(a);
  with_float_type(a.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("rms_norm_shared", rms_norm_shared_row<T>, blocks_for(a.x.rows(), 1), kThreads, 0, stream, floats<T>(a.x),
           a.weight.as<float>(), a.sums.as<float>(), static_cast<float>(a.width), a.eps, floats<T>(a.y), a.rstd.as<float>(),
           a.x.cols());
  });
}

void rms_norm_dots_cuda(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, TensorView dots, const Stream& stream) {
  check_rms_norm_dots(dy, x, weight, dots);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("rms_norm_dots", rms_norm_dots_row<T>, blocks_for(x.rows(), 1), kThreads, 0, stream, floats<T>(dy), floats<T>(x),
           weight.as<float>(), dots.as<float>(), x.cols());
  });
}

void rms_norm_shared_backward_cuda(const SharedRmsNormBackward& a, const Stream& stream) {
  check_rms_norm_shared_backward(a);
  with_float_type(a.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("rms_norm_shared_backward", rms_norm_shared_backward_row<T>, blocks_for(a.x.rows(), 1), kThreads, 0, stream,
           floats<T>(a.dy), floats<T>(a.x), a.weight.as<float>(), a.rstd.as<float>(), a.dots.as<float>(),
           static_cast<float>(a.width), floats<T>(a.dx), a.x.cols());
  });
}

}  // namespace lora_dist
