// Table look-ups in registers: 16 floats are one AVX-512 register or two AVX2 ones, and codes are the lane numbers.
#include "kernels/quantize/dequantize_block.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 warns about the deliberately undefined registers inside its own AVX-512 header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#endif

namespace lora_dist {

void dequantize_block_plain(const float* table, const std::uint8_t* codes, float absmax, float* values, std::int64_t n) {
  for (std::int64_t i = 0; i < n / 2; ++i) {
    values[2 * i] = table[codes[i] >> 4] * absmax;
    values[2 * i + 1] = table[codes[i] & 15] * absmax;
  }
}

#if defined(__x86_64__)

namespace {

struct Nibbles {
  __m128i first;   // codes of elements 0 .. 15
  __m128i second;  // codes of elements 16 .. 31
};

// 16 bytes into 32 codes in element order.
__attribute__((target("avx2"), always_inline)) inline Nibbles split(const std::uint8_t* codes) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
  const __m128i low = _mm_and_si128(bytes, mask);
  return {_mm_unpacklo_epi8(high, low), _mm_unpackhi_epi8(high, low)};
}

// Eight codes (one per byte, low half of `codes`) into values; bit 3 of a code picks the half of the table.
__attribute__((target("avx2"), always_inline)) inline __m256 look_up(__m128i codes, __m256 lower, __m256 upper_half,
                                                                     __m256 scale) {
  const __m256i lanes = _mm256_cvtepu8_epi32(codes);
  const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28));
  const __m256 value =
      _mm256_blendv_ps(_mm256_permutevar8x32_ps(lower, lanes), _mm256_permutevar8x32_ps(upper_half, lanes), upper);
  return _mm256_mul_ps(value, scale);
}

}  // namespace

__attribute__((target("avx2"))) void dequantize_block_avx2(const float* table, const std::uint8_t* codes, float absmax,
                                                           float* values, std::int64_t n) {
  const __m256 lower = _mm256_loadu_ps(table);
  const __m256 upper_half = _mm256_loadu_ps(table + 8);
  const __m256 scale = _mm256_set1_ps(absmax);
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const Nibbles nibbles = split(codes + i / 2);
    _mm256_storeu_ps(values + i, look_up(nibbles.first, lower, upper_half, scale));
    _mm256_storeu_ps(values + i + 8, look_up(_mm_srli_si128(nibbles.first, 8), lower, upper_half, scale));
    _mm256_storeu_ps(values + i + 16, look_up(nibbles.second, lower, upper_half, scale));
    _mm256_storeu_ps(values + i + 24, look_up(_mm_srli_si128(nibbles.second, 8), lower, upper_half, scale));
  }
  dequantize_block_plain(table, codes + i / 2, absmax, values + i, n - i);
}

__attribute__((target("avx512f,avx2"))) void dequantize_block_avx512(const float* table, const std::uint8_t* codes, float absmax,
                                                                     float* values, std::int64_t n) {
  const __m512 all = _mm512_loadu_ps(table);
  const __m512 scale = _mm512_set1_ps(absmax);
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const Nibbles nibbles = split(codes + i / 2);
    const __m512 first = _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(nibbles.first), all);
    const __m512 second = _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(nibbles.second), all);
    _mm512_storeu_ps(values + i, _mm512_mul_ps(first, scale));
    _mm512_storeu_ps(values + i + 16, _mm512_mul_ps(second, scale));
  }
  dequantize_block_plain(table, codes + i / 2, absmax, values + i, n - i);
}

DequantizeBlock best_dequantize_block() {
  if (__builtin_cpu_supports("avx512f")) {
    return dequantize_block_avx512;
  }
  return __builtin_cpu_supports("avx2") ? dequantize_block_avx2 : dequantize_block_plain;
}

#else

DequantizeBlock best_dequantize_block() { return dequantize_block_plain; }

#endif

}  // namespace lora_dist
