// The CPU side of GELU.
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/gelu/gelu.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

LORA_DIST_MULTIVERSION void forward_erf(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * gelu_erf_point(x[i]).share;
  }
}

LORA_DIST_MULTIVERSION void forward_tanh(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * gelu_tanh_point(x[i]).share;
  }
}

LORA_DIST_MULTIVERSION void backward_erf(const float* dy, const float* x, float* dx, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] = dy[i] * gelu_erf_point(x[i]).slope;
  }
}

LORA_DIST_MULTIVERSION void backward_tanh(const float* dy, const float* x, float* dx, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] = dy[i] * gelu_tanh_point(x[i]).slope;
  }
}

}  // namespace

void gelu_cpu(ConstTensorView x, Gelu form, TensorView y, const Stream& stream) {
  require(x.shape == y.shape, "gelu: x and y must have one shape");
  const auto range = form == Gelu::erf ? forward_erf : forward_tanh;
  const float* in = x.as<float>();
  float* out = y.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { range(in + begin, out + begin, end - begin); });
}

void gelu_backward_cpu(ConstTensorView dy, ConstTensorView x, Gelu form, TensorView dx, const Stream& stream) {
  require(x.shape == dy.shape && x.shape == dx.shape, "gelu_backward: dy, x and dx must have one shape");
  const auto range = form == Gelu::erf ? backward_erf : backward_tanh;
  const float* d = dy.as<float>();
  const float* in = x.as<float>();
  float* out = dx.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { range(d + begin, in + begin, out + begin, end - begin); });
}

}  // namespace lora_dist
