// What Python's str does, on UTF-8: positions count characters, white space and letters are Unicode's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist::jinja {

/// Characters of a UTF-8 text; a byte that is not UTF-8 counts as one.
std::int64_t length_of(std::string_view text);
/// The characters one by one, as views of the text.
std::vector<std::string_view> characters_of(std::string_view text);
/// The code point of one character of characters_of; a bad byte is itself.
char32_t code_point(std::string_view character);

std::string utf8_of(char32_t c);

bool is_space(char32_t c);
/// Cuts characters off both ends: those of `chars`, or white space where there is none.
std::string_view strip(std::string_view text, const std::optional<std::string>& chars, bool left, bool right);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// str.title: a letter after anything but a letter is upper, all others lower.
std::string title(std::string_view text);
std::string capitalize(std::string_view text);

/// str.split: at most `most` cuts (all for -1); without a separator at runs of white space.
std::vector<std::string_view> split(std::string_view text, const std::optional<std::string>& separator, std::int64_t most,
                                    bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// str.replace: at most `most` times (all for -1). The result's size is bounded by the caller (see replaced_size).
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most);
std::size_t count(std::string_view text, std::string_view part);

/// Whether every character is of a kind, and there is one.
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
