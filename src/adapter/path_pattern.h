// Regular expressions over module paths, as PEFT uses them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lora_dist {

/// True when `text` cannot be a path, or an ending of one, as it stands.
bool is_regular_expression(const std::string& text);
/// Why `pattern` cannot be used; empty where it can. The grammar is that of PCRE2, which most of Python's patterns are in too.
std::string problem_of_pattern(const std::string& pattern);
/// Whether the whole path matches, as PEFT takes target_modules given as one text.
bool path_matches(const std::string& pattern, const std::string& path);
/// Whether `name` is the path, or an ending of it that starts after a dot: PEFT's rule for names.
bool ends_with_name(const std::string& path, const std::string& name);
/// Whether the path, or an ending of it from a dot on, matches, as PEFT takes keys of rank_pattern and alpha_pattern.
bool ending_matches(const std::string& pattern, const std::string& path);

/// The number between dots that comes first after what `pattern` matches from the path's beginning on ("layers" in front of
/// ".3.").
std::optional<std::int64_t> number_after(const std::string& pattern, const std::string& path);

}  // namespace lora_dist
