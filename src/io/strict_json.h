// JSON from untrusted files: no duplicate keys, bounded depth, errors with positions.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "src/core/error.h"

namespace lora_dist {

/// A syntax error ("line 1, column 5: ..."); the caller adds the file name.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr int kMaxJsonDepth = 64;  // bounds the recursion of destructors and dump()

/// Throws JsonError on a syntax error, invalid UTF-8, a key given twice, or nesting deeper than 64.
nlohmann::json parse_strict_json(std::string_view text);
/// The same, keeping the order of members.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// The same, reading NaN, Infinity and -Infinity (which Python writes) as null.
nlohmann::ordered_json parse_python_row(std::string_view text);

/// Calls back for each member of a top-level object without storing the document. Throws JsonError as above, and if the text is
/// not an object.
void parse_json_members(std::string_view text,
                        const std::function<void(const std::string& key, const nlohmann::json& value)>& member);

/// A whole file of at most 256 MiB. Infinity, -Infinity and NaN, which Python writes, become strings of these names, which
/// callers reject as numbers. Throws Error(code) naming the file.
nlohmann::json read_json_file(const std::filesystem::path& file, ExitCode code);
/// The same, keeping the order of members.
nlohmann::ordered_json read_ordered_json_file(const std::filesystem::path& file, ExitCode code);

// For other readers (src/io/json_events.h), which give the same errors.

JsonError key_given_twice(const std::string& key);
JsonError too_deep();
/// The text of nlohmann-json's error, without the library's number; it may quote a token as long as the file, and is shortened.
JsonError json_error_of(const nlohmann::json::exception& error);
/// Replaces NaN and Infinity outside of strings by null or by quoted names.
std::string without_python_numbers(std::string_view text, bool as_null);
/// `parse` of the file's text. Throws Error(code) for a JsonError and for a file larger than 256 MiB.
nlohmann::json read_json_text(const std::filesystem::path& file, ExitCode code,
                              const std::function<nlohmann::json(std::string_view)>& parse);

}  // namespace lora_dist
