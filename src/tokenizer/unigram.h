// Unigram language model: cuts a piece of text into the vocabulary's pieces with the largest sum of scores.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/tokenizer/byte_trie.h"
#include "src/tokenizer/token_table.h"
#include "src/tokenizer/word_cache.h"

namespace lora_dist {

struct UnigramModel {
  TokenTable vocab;            // of equal pieces the last one's id is the token's
  std::vector<double> scores;  // by id: natural logarithms of probabilities
  ByteTrie pieces;             // to ids
  std::optional<std::int32_t> unk;
  bool byte_fallback = false;
  double unk_score = 0.0;  // of a character that is no piece
};

/// Appends the ids of `piece` (UTF-8). Neighbouring unknown characters are one unk, or their bytes with byte_fallback. Throws
/// Error(model) for such a character without unk.
void encode_piece(const UnigramModel& model, WordCache& cache, std::string_view piece, std::vector<std::int32_t>& out);

}  // namespace lora_dist
