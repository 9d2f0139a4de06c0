// The mask of dropout for a block of features, once per instruction set. All write the same bits.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"

namespace lora_dist::dropout_mask {

inline constexpr std::int64_t kCounters = 64;          // counters per block
inline constexpr std::int64_t kBlock = 4 * kCounters;  // features per block: a counter gives four numbers

/// The inputs of one token's mask.
struct Row {
  PhiloxKey key{};
  PhiloxCounter counter{};  // [0] is not read: it is the feature's number / 4
  std::uint32_t threshold = 0;
  float factor = 0.0F;  // 1 / (1 - p)
};

/// factors[f] = 0 where the number of feature first + f is below the threshold, else row.factor; f in [0, kBlock), first is a
/// multiple of 4.
using FillBlock = void (*)(const Row& row, std::int64_t first, float* factors);

void fill_block_plain(const Row& row, std::int64_t first, float* factors);
#if defined(__x86_64__)
void fill_block_avx2(const Row& row, std::int64_t first, float* factors);
void fill_block_avx512(const Row& row, std::int64_t first, float* factors);
#endif

/// The fastest implementation that this processor supports.
FillBlock best_fill_block();

}  // namespace lora_dist::dropout_mask
