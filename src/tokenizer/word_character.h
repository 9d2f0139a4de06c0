// Detects word characters, for added tokens with single_word.
#pragma once

#include <string_view>

namespace lora_dist {

/// True if the first, or the last, character is a letter, mark, digit or connector (\w of Unicode's regular expressions). False
/// for an empty text. `text` must be UTF-8.
bool starts_with_word(std::string_view text);
bool ends_with_word(std::string_view text);

}  // namespace lora_dist
