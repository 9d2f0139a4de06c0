// Helpers of row readers: rejection, and blank texts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lora_dist {

/// Throws Error(data): "place: what".
[[noreturn]] void fail_row(const std::string& place, const std::string& what);

/// The text of such an Error after "place: " (or "place, message 2: ", without the place), for a list of skipped rows.
std::string reason_without(const std::string& place, const std::string& what);

/// The member `key` of a row. Throws Error(data) that begins with `place` if it is not text.
const std::string& text_value(const nlohmann::ordered_json& value, const char* key, const std::string& place);

inline constexpr std::string_view kBlank = " \t\r\n";  // white space
/// True for empty text and white space.
bool is_blank(std::string_view text);

/// Converts A-Z to lower case.
std::string ascii_lower(std::string_view text);

}  // namespace lora_dist
