// The CPU side of 8-bit weights: one row at a time.
#include "kernels/quantize/quantize_int8.h"

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/quantize/absmax_of.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kRowsPerPiece = 16;

// Adding 1.5 * 2^23 leaves no bits below 1, rounded half to even.
LORA_DIST_MULTIVERSION void quantize_row(const float* values, float inverse, std::int8_t* codes, std::int64_t n) {
  constexpr float kRounder = 12582912.0F;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = values[i] * inverse;
    const float bounded = x >= -kInt8Most ? (x <= kInt8Most ? x : kInt8Most) : (x < -kInt8Most ? -kInt8Most : 0.0F);  // NaN: 0
    codes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((bounded + kRounder) - kRounder));
  }
}

LORA_DIST_MULTIVERSION void dequantize_row(const std::int8_t* codes, float absmax, float* values, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(codes[i]) * absmax * kInt8Step;
  }
}

}  // namespace

void quantize_int8_cpu(ConstTensorView values, TensorView codes, TensorView absmax, const Stream& stream) {
  check_int8(values, codes, absmax);
  const std::int64_t width = values.cols();
  const auto* from = values.as<float>();
  auto* to = codes.as<std::int8_t>();
  auto* scales = absmax.as<float>();
  parallel_ranges(values.rows(), kRowsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      scales[r] = absmax_of(from + r * width, width);
      quantize_row(from + r * width, int8_inverse(scales[r]), to + r * width, width);
    }
  });
}

void dequantize_int8_cpu(ConstTensorView codes, ConstTensorView absmax, TensorView values, const Stream& stream) {
  check_int8(values, codes, absmax);
  const std::int64_t width = values.cols();
  const auto* from = codes.as<std::int8_t>();
  const auto* scales = absmax.as<float>();
  auto* to = values.as<float>();
  parallel_ranges(values.rows(), kRowsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      dequantize_row(from + r * width, scales[r], to + r * width, width);
    }
  });
}

}  // namespace lora_dist
