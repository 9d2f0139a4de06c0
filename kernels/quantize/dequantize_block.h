// The inner loop of dequantize_4bit, once per instruction set. All write the same bits: one float product per element.
#pragma once

#include <cstdint>

namespace lora_dist {

/// values[i] = table[code i] * absmax for i in [0, n), n even; table: the 16 values by code; codes hold the even element in the
/// high nibble.
using DequantizeBlock = void (*)(const float* table, const std::uint8_t* codes, float absmax, float* values, std::int64_t n);

void dequantize_block_plain(const float* table, const std::uint8_t* codes, float absmax, float* values, std::int64_t n);
#if defined(__x86_64__)
void dequantize_block_avx2(const float* table, const std::uint8_t* codes, float absmax, float* values, std::int64_t n);
void dequantize_block_avx512(const float* table, const std::uint8_t* codes, float absmax, float* values, std::int64_t n);
#endif

/// The fastest implementation that this processor supports.
DequantizeBlock best_dequantize_block();

}  // namespace lora_dist
