// Sizes and bytes of single GGUF blocks, for decoding (gguf_blocks.cpp) and encoding (gguf_quantize.cpp).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/common/half.h"

namespace lora_dist {

inline constexpr std::size_t kSmallBlock = 32;   // values of a plain block
inline constexpr std::size_t kSuperBlock = 256;  // values of a K block

/// Nearest, ties to even, by the mantissa of value + 1.5 * 2^23. Far outside of 22 bits the result is the reference's, too.
inline int nearest_code(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 12582912.0F);
  return static_cast<int>(bits & 0x007FFFFFU) - 0x00400000;
}

inline std::byte byte_of(unsigned value) { return static_cast<std::byte>(value & 0xFFU); }

inline void put_half(std::byte* at, float value) {
  const std::uint16_t half = f16_of_float(value);
  std::memcpy(at, &half, sizeof half);
}

inline float half_at(const std::byte* at) {
  std::uint16_t half = 0;
  std::memcpy(&half, at, sizeof half);
  return float_of_f16(half);
}

/// K blocks, as the reference quantizer makes them. `x`: 256 values.
void encode_q4_k(const float* x, std::byte* out);
void encode_q5_k(const float* x, std::byte* out);
void encode_q6_k(const float* x, std::byte* out);

}  // namespace lora_dist
