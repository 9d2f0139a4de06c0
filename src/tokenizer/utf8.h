// UTF-8, as far as a tokenizer needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lora_dist {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kUnderline = "\xE2\x96\x81";             // U+2581, how a space stands in most vocabularies

/// Bytes of the well-formed character at the start of `text`; 0 when it is not well-formed (or cut off) or `text` is empty.
std::size_t utf8_character(std::string_view text);

/// Bytes of the longest start of a character that `text` begins with, at least 1 (the "maximal subpart" of the Unicode standard,
/// 3.9): what one U+FFFD stands for.
std::size_t utf8_maximal_subpart(std::string_view text);

bool is_utf8(std::string_view text);

/// Each maximal subpart that is not UTF-8 becomes U+FFFD, as in Python's decode(errors="replace").
std::string to_utf8(std::string_view text);

/// Of one well-formed character.
std::uint32_t code_point(std::string_view character);

/// Bytes of Unicode White_Space at the start, and at the end, of a UTF-8 text.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

}  // namespace lora_dist
