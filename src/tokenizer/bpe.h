// Byte-pair encoding of pieces of text.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/pair_table.h"
#include "src/tokenizer/token_table.h"
#include "src/tokenizer/word_cache.h"

namespace lora_dist {

struct BpeModel {
  TokenTable vocab;
  PairTable merges;
  std::optional<std::int32_t> unk;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;       // a piece that is a token is not split
  std::string continuation_prefix;  // before every character of a piece but the first, in the vocabulary
  std::string end_suffix;           // after the last one
  bool of_bytes = false;            // pieces are bytes; the vocabulary uses GPT-2's alphabet
  std::string word_start;           // see find_words; empty: pieces are not cut
  std::bitset<256> bridges;         // bytes after which a word may go on with word_start
};

/// Sets word_start to the character (Llama's underline) before which a piece may be cut without changing ids, because no merge
/// spans the boundary before it unless a byte of `bridges` stands there (Gemma has one token like that, ">\u2581</"). Llama and
/// Gemma have one piece per document, whose words can be cached only after cutting.
void find_words(BpeModel& model);

/// Appends the ids of `piece` (UTF-8, or bytes with of_bytes) to `out`.
void encode_piece(const BpeModel& model, WordCache& cache, std::string_view piece, std::vector<std::int32_t>& out);

}  // namespace lora_dist
