// Characters of UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lora_dist {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kUnderline = "\xE2\x96\x81";             // U+2581, the space in most vocabularies

/// The length of the valid character at the start of `text`; 0 if it is invalid, truncated, or `text` is empty.
std::size_t utf8_character(std::string_view text);

/// The length of the longest prefix that begins a character, at least 1 (the "maximal subpart" of the Unicode standard, 3.9),
/// which one U+FFFD replaces.
std::size_t utf8_maximal_subpart(std::string_view text);

bool is_utf8(std::string_view text);

/// Replaces each invalid maximal subpart by U+FFFD, like Python's decode(errors="replace").
std::string to_utf8(std::string_view text);

/// The code point of one valid character.
std::uint32_t code_point(std::string_view character);

/// Bytes of Unicode White_Space at the start, and at the end, of a UTF-8 text.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

}  // namespace lora_dist
