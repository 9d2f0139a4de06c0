// The sizes that a quantization block may have.
#pragma once

#include <cstdint>

namespace lora_dist {

inline constexpr std::int64_t kSmallestBlock = 32;
inline constexpr std::int64_t kLargestBlock = 4096;

/// A power of two from kSmallestBlock to kLargestBlock.
constexpr bool is_block_size(std::int64_t n) { return n >= kSmallestBlock && n <= kLargestBlock && (n & (n - 1)) == 0; }

}  // namespace lora_dist
