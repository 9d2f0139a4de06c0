// Maps tokens to byte ranges of the text (offset mapping).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/tokenizer/split.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

struct TokenBorders {
  std::vector<std::int32_t> ids;  // equal to encode(tokenizer, text, false)
  std::vector<Range> ranges;      // byte range per id; begins never decrease
};

/// `text` must be UTF-8. A token with part of a character has that part; a token without bytes (a leading dummy space) has an
/// empty range. Ranges are found by aligning the tokens' texts with the normalized text: exact for byte-level vocabularies, and
/// for underline-space vocabularies with byte fallback. If a normalizer joins or drops characters, the resulting tokens share
/// their bytes. A token that is not found (unk, say) extends from the previous token's end to the next one's begin.
TokenBorders encode_with_borders(const Tokenizer& tokenizer, std::string_view text);

/// True if the id is a special token of the tokenizer (including end of turn and of text).
bool is_special_id(const Tokenizer& tokenizer, std::int32_t id);

}  // namespace lora_dist
