// The CPU side of RMSNorm: one token at a time, sums in vector lanes over the row.
#include "kernels/rms_norm/rms_norm.h"

#include <cmath>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 32;

LORA_DIST_MULTIVERSION float sum_of_squares(const float* x, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    sum += x[i] * x[i];
  }
  return sum;
}

LORA_DIST_MULTIVERSION void scale_row(const float* x, const float* weight, float rstd, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * rstd * weight[i];
  }
}

LORA_DIST_MULTIVERSION void backward_row(const float* dy, const float* x, const float* weight, float rstd, float* dx,
                                         std::int64_t n) {
  float dot = 0.0F;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t i = 0; i < n; ++i) {
    dot += weight[i] * dy[i] * x[i];
  }
  const float along_x = dot / static_cast<float>(n) * rstd * rstd;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] += rstd * (weight[i] * dy[i] - x[i] * along_x);
  }
}

}  // namespace

void rms_norm_cpu(ConstTensorView x, ConstTensorView weight, float eps, TensorView y, TensorView rstd, const Stream& stream) {
  require(x.shape.rank == 2 && x.shape == y.shape, "rms_norm: x and y must be [tokens, hidden]");
  require(weight.count() == x.cols(), "rms_norm: weight must be [hidden]");
  require(rstd.count() == x.rows(), "rms_norm: rstd must be [tokens]");
  const std::int64_t hidden = x.cols();
  const float* in = x.as<float>();
  const float* w = weight.as<float>();
  float* out = y.as<float>();
  float* r = rstd.as<float>();
  parallel_ranges(x.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float mean = sum_of_squares(in + t * hidden, hidden) / static_cast<float>(hidden);
      r[t] = 1.0F / std::sqrt(mean + eps);
      scale_row(in + t * hidden, w, r[t], out + t * hidden, hidden);
    }
  });
}

void rms_norm_backward_cpu(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView rstd, TensorView dx,
                           const Stream& stream) {
  require(x.shape.rank == 2 && x.shape == dy.shape && x.shape == dx.shape,
          "rms_norm_backward: dy, x and dx must be [tokens, hidden]");
  require(weight.count() == x.cols(), "rms_norm_backward: weight must be [hidden]");
  require(rstd.count() == x.rows(), "rms_norm_backward: rstd must be [tokens]");
  const std::int64_t hidden = x.cols();
  const float* d = dy.as<float>();
  const float* in = x.as<float>();
  const float* w = weight.as<float>();
  const float* r = rstd.as<float>();
  float* out = dx.as<float>();
  parallel_ranges(x.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      backward_row(d + t * hidden, in + t * hidden, w, r[t], out + t * hidden, hidden);
    }
  });
}

}  // namespace lora_dist
