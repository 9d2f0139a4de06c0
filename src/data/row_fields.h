// Helpers of row readers: rejection, and blank texts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lora_dist {

/// Throws Error(data): "location: what".
[[noreturn]] void fail_row(const std::string& location, const std::string& what);

/// The text of such an Error after "location: " (or "location, message 2: ", without the location), for a list of skipped rows.
std::string reason_without(const std::string& location, const std::string& what);

/// The member `key` of a row. Throws Error(data) that begins with `location` if it is not text.
const std::string& text_value(const nlohmann::ordered_json& value, const char* key, const std::string& location);

inline constexpr std::string_view kBlank = " \t\r\n";  // white space
/// True for empty text and white space.
bool is_blank(std::string_view text);

/// Converts A-Z to lower case.
std::string ascii_lower(std::string_view text);

}  // namespace lora_dist
