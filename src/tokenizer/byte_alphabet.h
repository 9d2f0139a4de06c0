// GPT-2's alphabet of 256 printable characters, one per byte, in which the vocabulary of a byte-level tokenizer is written.
#pragma once

#include <string>
#include <string_view>

namespace lora_dist {

/// Maps each byte to its character, in UTF-8.
std::string to_byte_alphabet(std::string_view bytes);

/// The bytes of a token; a token with a character outside the alphabet is unchanged. `token` must be UTF-8.
std::string from_byte_alphabet(std::string_view token);

}  // namespace lora_dist
