// Matches with std::regex, and without it where a key is a plain ending: there may be a key for every module.
#include "src/model/path_pattern.h"

#include <algorithm>
#include <cctype>
#include <regex>

namespace lora_dist {

namespace {

constexpr std::size_t kLongest = 1000;

bool is_plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; }

}  // namespace

bool is_regular_expression(const std::string& text) { return !std::all_of(text.begin(), text.end(), is_plain); }

std::string problem_of_pattern(const std::string& pattern) {
  if (pattern.size() > kLongest) {
    return "is longer than 1000 characters";
  }
  try {
    const std::regex ignored(pattern);
    return "";
  } catch (const std::regex_error&) {
    return "is not a regular expression that is understood here";
  }
}

bool path_matches(const std::string& pattern, const std::string& path) { return std::regex_match(path, std::regex(pattern)); }

bool ends_with_name(const std::string& path, const std::string& name) { return path == name || path.ends_with("." + name); }

bool ending_matches(const std::string& pattern, const std::string& path) {
  if (is_regular_expression(pattern)) {
    return path_matches("(?:.*\\.)?(?:" + pattern + ")", path);
  }
  return ends_with_name(path, pattern);
}

std::optional<std::int64_t> number_after(const std::string& pattern, const std::string& path) {
  std::smatch match;
  if (!std::regex_search(path, match, std::regex("(?:" + pattern + ")\\.(\\d{1,9})\\."),
                         std::regex_constants::match_continuous)) {
    return std::nullopt;
  }
  return std::stoll(match[match.size() - 1].str());
}

}  // namespace lora_dist
