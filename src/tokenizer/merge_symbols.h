// BPE merging: from one id per character to the ids of a piece.
#pragma once

#include <cstdint>
#include <vector>

#include "src/tokenizer/pair_table.h"

namespace lora_dist {

/// Repeatedly merges the leftmost pair of least rank. O(n log n) for long pieces.
void merge_symbols(const PairTable& merges, std::vector<std::int32_t>& ids);

}  // namespace lora_dist
