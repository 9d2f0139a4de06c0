// Regular expressions over module paths, as PEFT uses them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/by_path.h"

namespace lora_dist {

/// True if `text` has characters that no path has.
bool is_regular_expression(const std::string& text);
/// Why `pattern` is invalid; empty if valid. The grammar is PCRE2's, which covers most Python patterns.
std::string problem_of_pattern(const std::string& pattern);
/// True if the whole path matches: PEFT's rule for target_modules given as one string.
bool path_matches(const std::string& pattern, const std::string& path);
/// True if `name` is the path, or an ending of it that starts after a dot: PEFT's rule for names.
bool ends_with_name(const std::string& path, const std::string& name);
/// True if the path ends with one of the texts, be it in the middle of a name: PEFT's rule for feedforward_modules.
bool ends_with_any(const std::string& path, const std::vector<std::string>& endings);
/// True if the path, or an ending of it from a dot on, matches: PEFT's rule for keys of rank_pattern and alpha_pattern.
bool ending_matches(const std::string& pattern, const std::string& path);

/// The value of the first key that matches, by ending_matches; `otherwise` if none does.
template <class Value>
Value value_at(const PathPattern<Value>& pattern, const std::string& path, Value otherwise) {
  const auto match =
      std::find_if(pattern.begin(), pattern.end(), [&](const auto& entry) { return ending_matches(entry.first, path); });
  return match == pattern.end() ? otherwise : match->second;
}

/// The first number between dots after the match of `pattern` at the path's beginning ("layers" before ".3.").
std::optional<std::int64_t> number_after(const std::string& pattern, const std::string& path);

}  // namespace lora_dist
