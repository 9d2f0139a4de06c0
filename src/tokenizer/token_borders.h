// Which bytes of a text each of its tokens stands for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/tokenizer/split.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

struct TokenBorders {
  std::vector<std::int32_t> ids;  // as encode(tokenizer, text, false)
  std::vector<Range> ranges;      // bytes of the text, per id; begins never decrease
};

/// `text` must be UTF-8. A token that holds part of a character has that part; one that stands for no byte (the dummy space
/// before a text) an empty range where the text goes on. The borders are found by laying the tokens' own texts along the
/// text as the normalizer leaves it: exact for byte-level vocabularies, and for those with spaces as underlines and bytes for
/// unknown characters. Where a normalizer joins or drops characters, the tokens made of them share their bytes. A token whose
/// text is not found (unk, say) reaches from the last one's end to the next one's begin.
TokenBorders encode_with_borders(const Tokenizer& tokenizer, std::string_view text);

/// Whether the id ends a turn or a text, or is another of the tokenizer's special tokens.
bool is_special_id(const Tokenizer& tokenizer, std::int32_t id);

}  // namespace lora_dist
