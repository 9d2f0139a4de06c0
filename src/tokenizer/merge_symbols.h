// The merging itself: from one id per character to the ids of a piece.
#pragma once

#include <cstdint>
#include <vector>

#include "src/tokenizer/pair_table.h"

namespace lora_dist {

/// Merges the pair of least rank, the leftmost of them, until none is left. O(n log n) for long pieces.
void merge_symbols(const PairTable& merges, std::vector<std::int32_t>& ids);

}  // namespace lora_dist
