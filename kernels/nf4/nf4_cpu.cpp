// The CPU side of NF4 and FP4: 4-bit codes with one absmax per block.
#include "kernels/nf4/nf4.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/block_size.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/nf4/nf4_dequantize.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;  // a multiple of every block size

std::int64_t pieces(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

void check_4bit(ConstTensorView values, ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size) {
  require(is_block_size(block_size), "nf4: block_size must be a power of two from 32 to 4096");
  require(codes.count() == pieces(values.count(), 2), "nf4: codes must have a byte for every two values");
  require(absmax.count() == pieces(values.count(), block_size), "nf4: absmax must have a value for every block");
}

// The largest magnitude, NaN if there is one: a broken weight must not pass for a sound one.
LORA_DIST_MULTIVERSION float absmax_of(const float* values, std::int64_t n) {
  float top = 0.0F;
  int bad = 0;
#pragma omp simd reduction(max : top) reduction(| : bad)
  for (std::int64_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(values[i]);
    top = magnitude > top ? magnitude : top;
    bad |= values[i] != values[i] ? 1 : 0;
  }
  return bad != 0 ? std::numeric_limits<float>::quiet_NaN() : top;
}

// How many thresholds lie below each scaled value. Products alone: nothing that a fused multiply-add could round otherwise.
template <const std::array<float, 16>& kRising>
__attribute__((always_inline)) inline void count_thresholds(const float* values, float inverse, std::int32_t* codes,
                                                            std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = values[i] * inverse;
    std::int32_t code = 0;
#pragma GCC unroll 15
    for (int t = 0; t < 15; ++t) {
      code += x > (kRising[t] + kRising[t + 1]) / 2.0F ? 1 : 0;
    }
    codes[i] = code;
  }
}

LORA_DIST_MULTIVERSION void nf4_codes_of(const float* values, float inverse, std::int32_t* codes, std::int64_t n) {
  count_thresholds<kNf4Code>(values, inverse, codes, n);
}

LORA_DIST_MULTIVERSION void fp4_codes_of(const float* values, float inverse, std::int32_t* codes, std::int64_t n) {
  count_thresholds<kFp4Rising>(values, inverse, codes, n);
  for (std::int64_t i = 0; i < n; ++i) {
    codes[i] = kFp4Order[static_cast<std::size_t>(codes[i])];
  }
}

float quantize_block(const float* values, std::int64_t n, FourBit code, std::uint8_t* codes) {
  // Below 1e-38 the reciprocal would be infinite; bitsandbytes holds it there too.
  const float absmax = absmax_of(values, n);
  alignas(64) std::int32_t wide[kLargestBlock];
  const auto codes_of = code == FourBit::nf4 ? nf4_codes_of : fp4_codes_of;
  codes_of(values, 1.0F / std::max(absmax, 1e-38F), wide, n);
  for (std::int64_t i = 0; i < n / 2; ++i) {
    codes[i] = static_cast<std::uint8_t>(wide[2 * i] << 4 | wide[2 * i + 1]);
  }
  if (n % 2 != 0) {
    const int zero = code == FourBit::nf4 ? 7 : 0;  // which the element that is not there is
    codes[n / 2] = static_cast<std::uint8_t>(wide[n - 1] << 4 | zero);
  }
  return absmax;
}

}  // namespace

void nf4_quantize_cpu(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                      const Stream& stream) {
  check_4bit(values, codes, absmax, block_size);
  const float* from = values.as<float>();
  auto* to = codes.as<std::uint8_t>();
  float* scales = absmax.as<float>();
  parallel_ranges(values.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += block_size) {
      scales[i / block_size] = quantize_block(from + i, std::min(block_size, end - i), code, to + i / 2);
    }
  });
}

void nf4_dequantize_cpu(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, TensorView values, FourBit code,
                        const Stream& stream) {
  check_4bit(values, codes, absmax, block_size);
  const auto* from = codes.as<std::uint8_t>();
  const float* scales = absmax.as<float>();
  float* to = values.as<float>();
  const float* table = code_table(code).data();
  const nf4::DequantizeBlock dequantize_block = nf4::best_dequantize_block();
  parallel_ranges(values.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += block_size) {
      const std::int64_t n = std::min(block_size, end - i);
      dequantize_block(table, from + i / 2, scales[i / block_size], to + i, n - n % 2);
      if (n % 2 != 0) {
        to[end - 1] = table[from[(end - 1) / 2] >> 4] * scales[i / block_size];
      }
    }
  });
}

}  // namespace lora_dist
