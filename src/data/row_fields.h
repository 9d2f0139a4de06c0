// What readers of rows have in common: how they refuse one, and what they take for nothing.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lora_dist {

/// Throws Error(data): "place: what".
[[noreturn]] void fail_row(const std::string& place, const std::string& what);

/// What such an Error says behind "place: " (or "place, message 2: ", without the place), for a list of rows that are left out.
std::string reason_without(const std::string& place, const std::string& what);

/// The member `key` of a row, which must be text. Throws Error(data) that begins with `place`.
const std::string& text_value(const nlohmann::ordered_json& value, const char* key, const std::string& place);

inline constexpr std::string_view kBlank = " \t\r\n";  // white space
/// No text but white space.
bool is_blank(std::string_view text);

/// With a to z for A to Z.
std::string ascii_lower(std::string_view text);

}  // namespace lora_dist
