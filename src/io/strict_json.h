// JSON from files that are not to be trusted: no duplicate keys, bounded depth, and errors that say where.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "src/core/error.h"

namespace lora_dist {

/// What is wrong with a JSON text ("line 1, column 5: ..."); the caller knows the file.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws JsonError on a syntax error, invalid UTF-8, a key given twice, or nesting deeper than 64.
nlohmann::json parse_strict_json(std::string_view text);
/// The same, with the members of objects in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// The same, but NaN, Infinity and -Infinity, which Python writes for what is missing or has no bounds, are null.
nlohmann::ordered_json parse_python_row(std::string_view text);

/// The members of a top-level object one by one, without holding the document. Throws JsonError as above, and when the text is
/// not an object.
void parse_json_members(std::string_view text,
                        const std::function<void(const std::string& key, const nlohmann::json& value)>& member);

/// A whole file of at most 256 MiB. Infinity, -Infinity and NaN, which Python writes and JSON does not have, become texts of
/// these names: whoever uses such a value as a number refuses it. Throws Error(code) naming the file.
nlohmann::json read_json_file(const std::filesystem::path& file, ExitCode code);
/// The same, with the members of objects in the order of the file.
nlohmann::ordered_json read_ordered_json_file(const std::filesystem::path& file, ExitCode code);

}  // namespace lora_dist
