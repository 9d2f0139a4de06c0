// The CPU side of LayerNorm: one token at a time, sums in vector lanes over the row. The mean is computed first, then the squared
// deviations, so that a large mean does not cost precision.
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

void layer_norm_cpu(const LayerNormArguments& a, const Stream& stream) {
  check_layer_norm(a);
  const std::int64_t hidden = a.x.cols();
  const auto width = static_cast<float>(hidden);
  const float eps = a.eps;
  const float* in = a.x.as<float>();
  const float* w = a.weight.as<float>();
  const float* b = a.bias.as<float>();
  float* out = a.y.as<float>();
  float* m = a.mean.as<float>();
  float* r = a.rstd.as<float>();
  parallel_ranges(a.x.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* row = in + t * hidden;
      m[t] = sum_of(row, hidden) / width;
      r[t] = 1.0F / std::sqrt(sum_of_squares_around(row, m[t], hidden) / width + eps);
      normalise_row(row, w, b, m[t], r[t], out + t * hidden, hidden);
    }
  });
}

void layer_norm_backward_cpu(const LayerNormBackwardArguments& a, const Stream& stream) {
  check_layer_norm_backward(a);
  const std::int64_t hidden = a.x.cols();
  const float* d = a.dy.as<float>();
  const float* in = a.x.as<float>();
  const float* w = a.weight.as<float>();
  const float* m = a.mean.as<float>();
  const float* r = a.rstd.as<float>();
  float* out = a.dx.as<float>();
  parallel_ranges(a.x.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      backward_row(d + t * hidden, in + t * hidden, w, m[t], r[t], out + t * hidden, hidden);
    }
  });
}

}  // namespace lora_dist
