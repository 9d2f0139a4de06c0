// Python's str methods on UTF-8: positions count characters, character classes are Unicode's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist::jinja {

/// The number of characters of a UTF-8 text; an invalid byte counts as one.
std::int64_t length_of(std::string_view text);
/// The characters, as views of the text.
std::vector<std::string_view> characters_of(std::string_view text);
/// The code point of a character of characters_of; an invalid byte is its own value.
char32_t code_point(std::string_view character);

std::string utf8_of(char32_t c);

bool is_space(char32_t c);
/// Strips the characters of `chars` (default: white space) from both ends.
std::string_view strip(std::string_view text, const std::optional<std::string>& chars, bool left, bool right);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// str.title: a letter not after a letter becomes upper case, all others lower case.
std::string title(std::string_view text);
std::string capitalize(std::string_view text);

/// str.split: at most `most` splits (-1: all); without a separator, at white space.
std::vector<std::string_view> split(std::string_view text, const std::optional<std::string>& separator, std::int64_t most,
                                    bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// str.replace: at most `most` times (all for -1). The caller bounds the result's size (see replaced_size).
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most);
std::size_t count(std::string_view text, std::string_view part);

/// True if the text is not empty and every character is of a class.
bool all_digits(std::string_view text);
bool all_letters(std::string_view text, bool or_digits);
bool all_spaces(std::string_view text);
/// str.isupper, str.islower.
bool all_of_case(std::string_view text, bool upper_case);

/// repr of a str: quotes and escapes.
std::string quoted_text(std::string_view text);
/// repr of a float.
std::string float_text(double value);

}  // namespace lora_dist::jinja
