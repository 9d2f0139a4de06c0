// The CPU side of LayerNorm: one token at a time, sums in vector lanes over the row. The mean is taken first, then the squares
// around it, so that a large mean costs no digits of the variance.
#include "kernels/layer_norm/layer_norm.h"

#include <cmath>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 32;

LORA_DIST_MULTIVERSION float sum_of(const float* x, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    sum += x[i];
  }
  return sum;
}

LORA_DIST_MULTIVERSION float sum_of_squares_around(const float* x, float mean, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    sum += (x[i] - mean) * (x[i] - mean);
  }
  return sum;
}

LORA_DIST_MULTIVERSION void normalise_row(const float* x, const float* weight, const float* bias, float mean, float rstd,
                                          float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = (x[i] - mean) * rstd * weight[i] + bias[i];
  }
}

LORA_DIST_MULTIVERSION void backward_row(const float* dy, const float* x, const float* weight, float mean, float rstd, float* dx,
                                         std::int64_t n) {
  float sum = 0.0F;
  float dot = 0.0F;
#pragma omp simd reduction(+ : sum, dot)
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = weight[i] * dy[i];
    sum += g;
    dot += g * ((x[i] - mean) * rstd);
  }
  const float mean_g = sum / static_cast<float>(n);
  const float along_x = dot / static_cast<float>(n);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] += rstd * (weight[i] * dy[i] - mean_g - (x[i] - mean) * rstd * along_x);
  }
}

}  // namespace

void layer_norm_cpu(ConstTensorView x, ConstTensorView weight, ConstTensorView bias, float eps, TensorView y, TensorView mean,
                    TensorView rstd, const Stream& stream) {
  require(x.shape.rank == 2 && x.shape == y.shape, "layer_norm: x and y must be [tokens, hidden]");
  require(weight.count() == x.cols() && bias.count() == x.cols(), "layer_norm: weight and bias must be [hidden]");
  require(mean.count() == x.rows() && rstd.count() == x.rows(), "layer_norm: mean and rstd must be [tokens]");
  const std::int64_t hidden = x.cols();
  const auto width = static_cast<float>(hidden);
  const float* in = x.as<float>();
  const float* w = weight.as<float>();
  const float* b = bias.as<float>();
  float* out = y.as<float>();
  float* m = mean.as<float>();
  float* r = rstd.as<float>();
  parallel_ranges(x.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* row = in + t * hidden;
      m[t] = sum_of(row, hidden) / width;
      r[t] = 1.0F / std::sqrt(sum_of_squares_around(row, m[t], hidden) / width + eps);
      normalise_row(row, w, b, m[t], r[t], out + t * hidden, hidden);
    }
  });
}

void layer_norm_backward_cpu(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView mean,
                             ConstTensorView rstd, TensorView dx, const Stream& stream) {
  require(x.shape.rank == 2 && x.shape == dy.shape && x.shape == dx.shape,
          "layer_norm_backward: dy, x and dx must be [tokens, hidden]");
  require(weight.count() == x.cols(), "layer_norm_backward: weight must be [hidden]");
  require(mean.count() == x.rows() && rstd.count() == x.rows(), "layer_norm_backward: mean and rstd must be [tokens]");
  const std::int64_t hidden = x.cols();
  const float* d = dy.as<float>();
  const float* in = x.as<float>();
  const float* w = weight.as<float>();
  const float* m = mean.as<float>();
  const float* r = rstd.as<float>();
  float* out = dx.as<float>();
  parallel_ranges(x.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      backward_row(d + t * hidden, in + t * hidden, w, m[t], r[t], out + t * hidden, hidden);
    }
  });
}

}  // namespace lora_dist
