// The CUDA side of norm_gradient: a thread a column.
#include "kernels/common/cuda_kernel.h"
#include "kernels/norm_gradient/norm_gradient.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void gradient_of_column(const T* dy, const T* x, const float* mean, const float* rstd, float* dweight, float* dbias,
                                   std::int64_t rows, std::int64_t cols) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= cols) {
    return;
  }
  float of_weight = dweight[j];
  float of_bias = dbias == nullptr ? 0.0F : dbias[j];
  for (std::int64_t row = 0; row < rows; ++row) {
    const float d = to_float(dy[row * cols + j]);
    of_weight += d * ((to_float(x[row * cols + j]) - (mean == nullptr ? 0.0F : mean[row])) * rstd[row]);
    of_bias += d;
  }
  dweight[j] = of_weight;
  if (dbias != nullptr) {
    dbias[j] = of_bias;
  }
}

}  // namespace

void norm_gradient_cuda(const NormGradientArguments& a, const Stream& stream) {
  check_norm_gradient(a);
  with_float_type(a.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("norm_gradient", gradient_of_column<T>, blocks_for(a.x.cols(), kThreads), kThreads, 0, stream, floats<T>(a.dy),
           floats<T>(a.x), a.mean.data == nullptr ? nullptr : a.mean.as<float>(), a.rstd.as<float>(), a.dweight.as<float>(),
           a.dbias.data == nullptr ? nullptr : a.dbias.as<float>(), a.x.rows(), a.x.cols());
  });
}

}  // namespace lora_dist
