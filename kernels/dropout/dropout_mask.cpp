// Philox on many counters side by side. Each 32-bit word sits in a 64-bit lane: the product reads the low halves alone, so high
// halves may hold anything and no word ever has to be moved or masked between rounds.
#include "kernels/dropout/dropout_mask.h"

#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 warns about the deliberately undefined registers inside its own AVX-512 header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#endif

namespace lora_dist::dropout_mask {

void fill_block_plain(const Row& row, std::int64_t first, float* factors) {
  PhiloxCounter counter = row.counter;
  for (std::int64_t i = 0; i < kCounters; ++i) {
    counter[0] = static_cast<std::uint32_t>(first / 4 + i);
    const PhiloxCounter bits = philox4x32(counter, row.key);
    for (std::size_t lane = 0; lane < 4; ++lane) {
      factors[4 * i + static_cast<std::int64_t>(lane)] = bits[lane] < row.threshold ? 0.0F : row.factor;
    }
  }
}

#if defined(__x86_64__)

namespace {

constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;

long long lane_of(std::uint32_t word) { return static_cast<long long>(word); }

}  // namespace

__attribute__((target("avx512f"))) void fill_block_avx512(const Row& row, std::int64_t first, float* factors) {
  const __m512i m0 = _mm512_set1_epi64(lane_of(kMultiplier0));
  const __m512i m1 = _mm512_set1_epi64(lane_of(kMultiplier1));
  const __m512i threshold = _mm512_set1_epi32(static_cast<int>(row.threshold));
  const __m512 factor = _mm512_set1_ps(row.factor);
  const __m512i eight = _mm512_set1_epi64(8);
  const __m512i low_half = _mm512_set1_epi64(0xFFFFFFFFLL);
  const __m512i front = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  const __m512i back = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
  __m512i group = _mm512_add_epi64(_mm512_set1_epi64(first / 4), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
  for (std::int64_t i = 0; i < kCounters; i += 8) {
    __m512i c0 = group;
    __m512i c1 = _mm512_set1_epi64(lane_of(row.counter[1]));
    __m512i c2 = _mm512_set1_epi64(lane_of(row.counter[2]));
    __m512i c3 = _mm512_set1_epi64(lane_of(row.counter[3]));
    PhiloxKey key = row.key;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const __m512i p0 = _mm512_mul_epu32(m0, c0);
      const __m512i p1 = _mm512_mul_epu32(m1, c2);
      c0 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p1, 32), c1), _mm512_set1_epi64(lane_of(key[0])));
      c2 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p0, 32), c3), _mm512_set1_epi64(lane_of(key[1])));
      c1 = p1;
      c3 = p0;
      key[0] += kWeyl0;
      key[1] += kWeyl1;
    }
    const __m512i first_pair = _mm512_or_si512(_mm512_and_si512(c0, low_half), _mm512_slli_epi64(c1, 32));
    const __m512i second_pair = _mm512_or_si512(_mm512_and_si512(c2, low_half), _mm512_slli_epi64(c3, 32));
    const __m512i numbers_front = _mm512_permutex2var_epi64(first_pair, front, second_pair);
    const __m512i numbers_back = _mm512_permutex2var_epi64(first_pair, back, second_pair);
    _mm512_storeu_ps(factors + 4 * i, _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(numbers_front, threshold), factor));
    _mm512_storeu_ps(factors + 4 * i + 16, _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(numbers_back, threshold), factor));
    group = _mm512_add_epi64(group, eight);
  }
}

__attribute__((target("avx2"))) void fill_block_avx2(const Row& row, std::int64_t first, float* factors) {
  const __m256i m0 = _mm256_set1_epi64x(lane_of(kMultiplier0));
  const __m256i m1 = _mm256_set1_epi64x(lane_of(kMultiplier1));
  const __m256i threshold = _mm256_set1_epi32(static_cast<int>(row.threshold));
  const __m256 factor = _mm256_set1_ps(row.factor);
  const __m256i four = _mm256_set1_epi64x(4);
  const __m256i low_half = _mm256_set1_epi64x(0xFFFFFFFFLL);
  __m256i group = _mm256_add_epi64(_mm256_set1_epi64x(first / 4), _mm256_setr_epi64x(0, 1, 2, 3));
  for (std::int64_t i = 0; i < kCounters; i += 4) {
    __m256i c0 = group;
    __m256i c1 = _mm256_set1_epi64x(lane_of(row.counter[1]));
    __m256i c2 = _mm256_set1_epi64x(lane_of(row.counter[2]));
    __m256i c3 = _mm256_set1_epi64x(lane_of(row.counter[3]));
    PhiloxKey key = row.key;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const __m256i p0 = _mm256_mul_epu32(m0, c0);
      const __m256i p1 = _mm256_mul_epu32(m1, c2);
      c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), _mm256_set1_epi64x(lane_of(key[0])));
      c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), _mm256_set1_epi64x(lane_of(key[1])));
      c1 = p1;
      c3 = p0;
      key[0] += kWeyl0;
      key[1] += kWeyl1;
    }
    const __m256i first_pair = _mm256_or_si256(_mm256_and_si256(c0, low_half), _mm256_slli_epi64(c1, 32));
    const __m256i second_pair = _mm256_or_si256(_mm256_and_si256(c2, low_half), _mm256_slli_epi64(c3, 32));
    const __m256i even = _mm256_unpacklo_epi64(first_pair, second_pair);  // counters 0 and 2
    const __m256i odd = _mm256_unpackhi_epi64(first_pair, second_pair);   // counters 1 and 3
    const __m256i front = _mm256_permute2x128_si256(even, odd, 0x20);
    const __m256i back = _mm256_permute2x128_si256(even, odd, 0x31);
    // The unsigned maximum equals the number exactly where the number is not below the threshold.
    const __m256i keep_front = _mm256_cmpeq_epi32(_mm256_max_epu32(front, threshold), front);
    const __m256i keep_back = _mm256_cmpeq_epi32(_mm256_max_epu32(back, threshold), back);
    _mm256_storeu_ps(factors + 4 * i, _mm256_and_ps(_mm256_castsi256_ps(keep_front), factor));
    _mm256_storeu_ps(factors + 4 * i + 8, _mm256_and_ps(_mm256_castsi256_ps(keep_back), factor));
    group = _mm256_add_epi64(group, four);
  }
}

FillBlock best_fill_block() {
  if (__builtin_cpu_supports("avx512f")) {
    return fill_block_avx512;
  }
  return __builtin_cpu_supports("avx2") ? fill_block_avx2 : fill_block_plain;
}

#else

FillBlock best_fill_block() { return fill_block_plain; }

#endif

}  // namespace lora_dist::dropout_mask
