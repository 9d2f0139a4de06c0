// The CPU side of RMSNorm over rows that ranks share: one token at a time.
#include "kernels/rms_norm/rms_norm_shared.h"

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

LORA_DIST_MULTIVERSION float weighted_dot(const float* dy, const float* x, const float* weight, std::int64_t n) {
  float dot = 0.0F;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t i = 0; i < n; ++i) {
    dot += weight[i] * dy[i] * x[i];
  }
  return dot;
}

LORA_DIST_MULTIVERSION void scale_row(const float* x, const float* weight, float rstd, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * rstd * weight[i];
  }
}

LORA_DIST_MULTIVERSION void gradient_row(const float* dy, const float* x, const float* weight, float rstd, float along_x,
                                         float* dx, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] = rstd * (weight[i] * dy[i] - x[i] * along_x);
  }
}

/// Calls work(token) for each token.
template <class Work>
void for_each_token(std::int64_t tokens, const Stream& stream, Work work) {
  parallel_ranges(tokens, kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      work(t);
    }
  });
}

}  // namespace

void square_sums_cpu(ConstTensorView x, TensorView sums, const Stream& stream) {
  check_square_sums(x, sums);
  const std::int64_t part = x.cols();
  const float* in = x.as<float>();
  float* out = sums.as<float>();
  for_each_token(x.rows(), stream, [&](std::int64_t t) { out[t] = sum_of_squares(in + t * part, part); });
}

void rms_norm_shared_cpu(const SharedRmsNorm& a, const Stream& stream) {
  check_rms_norm_shared(a);
  const std::int64_t part = a.x.cols();
  const float* in = a.x.as<float>();
  const float* w = a.weight.as<float>();
  const float* sums = a.sums.as<float>();
  float* out = a.y.as<float>();
  float* r = a.rstd.as<float>();
  for_each_token(a.x.rows(), stream, [&](std::int64_t t) {
    r[t] = 1.0F / std::sqrt(sums[t] / static_cast<float>(a.width) + a.eps);
    scale_row(in + t * part, w, r[t], out + t * part, part);
  });
}

void rms_norm_dots_cpu(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, TensorView dots, const Stream& stream) {
  check_rms_norm_dots(dy, x, weight, dots);
  const std::int64_t part = x.cols();
  const float* d = dy.as<float>();
  const float* in = x.as<float>();
  const float* w = weight.as<float>();
  float* out = dots.as<float>();
  for_each_token(x.rows(), stream, [&](std::int64_t t) { out[t] = weighted_dot(d + t * part, in + t * part, w, part); });
}

void rms_norm_shared_backward_cpu(const SharedRmsNormBackward& a, const Stream& stream) {
  check_rms_norm_shared_backward(a);
  const std::int64_t part = a.x.cols();
  const float* d = a.dy.as<float>();
  const float* in = a.x.as<float>();
  const float* w = a.weight.as<float>();
  const float* r = a.rstd.as<float>();
  const float* dots = a.dots.as<float>();
  float* out = a.dx.as<float>();
  for_each_token(a.x.rows(), stream, [&](std::int64_t t) {
    const float along_x = dots[t] / static_cast<float>(a.width) * r[t] * r[t];
    gradient_row(d + t * part, in + t * part, w, r[t], along_x, out + t * part, part);
  });
}

}  // namespace lora_dist
