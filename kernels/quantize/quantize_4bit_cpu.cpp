// The CPU side of NF4 and FP4: 4-bit codes with one absmax per block.
#include "kernels/quantize/quantize_4bit.h"

#include <algorithm>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/quantize/absmax_of.h"
#include "kernels/quantize/dequantize_block.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;  // a multiple of every block size

// The number of thresholds below each scaled value. It has no additions that a fused multiply-add could round differently.
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
  // Clamped at 1e-38, below which the reciprocal would be infinite; bitsandbytes does the same.
  const float absmax = absmax_of(values, n);
  alignas(64) std::int32_t wide[kLargestBlock];
  const auto codes_of = code == FourBit::nf4 ? nf4_codes_of : fp4_codes_of;
  codes_of(values, 1.0F / std::max(absmax, 1e-38F), wide, n);
  for (std::int64_t i = 0; i < n / 2; ++i) {
    codes[i] = static_cast<std::uint8_t>(wide[2 * i] << 4 | wide[2 * i + 1]);
  }
  if (n % 2 != 0) {
    const int zero = code == FourBit::nf4 ? 7 : 0;  // the code of the padding element
    codes[n / 2] = static_cast<std::uint8_t>(wide[n - 1] << 4 | zero);
  }
  return absmax;
}

float value_at(const float* table, const std::uint8_t* codes, std::int64_t i, float scale) {
  const std::uint8_t byte = codes[i / 2];
  return table[i % 2 == 0 ? byte >> 4 : byte & 15] * scale;
}

/// Dequantizes elements [begin, end), which share a scale: whole bytes at once, the rest one by one.
void dequantize_segment(const float* table, const std::uint8_t* codes, float scale, float* values, std::int64_t begin,
                        std::int64_t end, DequantizeBlock dequantize_block) {
  if (begin % 2 != 0 && begin < end) {
    values[begin] = value_at(table, codes, begin, scale);
    ++begin;
  }
  const std::int64_t even = (end - begin) / 2 * 2;
  if (even > 0) {
    dequantize_block(table, codes + begin / 2, scale, values + begin, even);
  }
  if (begin + even < end) {
    values[end - 1] = value_at(table, codes, end - 1, scale);
  }
}

}  // namespace

void quantize_4bit_cpu(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
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

void dequantize_4bit_cpu(const FourBitWeight& weight, TensorView values, const Stream& stream) {
  check_4bit(values, weight.codes, weight.absmax, weight.block_size);
  const std::int64_t block_size = weight.block_size;
  const auto* from = weight.codes.as<std::uint8_t>();
  const float* scales = weight.absmax.as<float>();
  float* to = values.as<float>();
  const float* table = code_table(weight.code).data();
  const DequantizeBlock dequantize_block = best_dequantize_block();
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

void dequantize_4bit_part_cpu(const FourBitWeight& weight, const StridedSlice& slice, TensorView values, const Stream& stream) {
  check_4bit_part(weight, slice, values);
  const std::int64_t block_size = weight.block_size;
  const auto* from = weight.codes.as<std::uint8_t>();
  const float* scales = weight.absmax.as<float>();
  float* to = values.as<float>();
  const float* table = code_table(weight.code).data();
  const std::int64_t per_row = scales_per_row(slice, block_size);
  const DequantizeBlock dequantize_block = best_dequantize_block();
  parallel_ranges(slice.elements(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end;) {
      const SliceSegment segment = segment_at(slice, i, end);
      const std::int64_t n = std::min(segment.count, block_size - segment.in_whole % block_size);
      const float scale = scales[segment.row * per_row + segment.in_whole / block_size - slice.first(segment.row) / block_size];
      dequantize_segment(table, from, scale, to, i, i + n, dequantize_block);
      i += n;
    }
  });
}

}  // namespace lora_dist
