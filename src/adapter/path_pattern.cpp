// Matches with PCRE2, or by comparison if a key is a plain ending: a file may have one key per module.
#include "src/adapter/path_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr std::size_t kLongest = 1000;
constexpr std::uint32_t kMostSteps = 1'000'000;  // per match: some patterns would take years for one path

bool is_plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; }

using Code = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;
using Match = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using Context = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;

/// Null for an invalid pattern.
Code compile(const std::string& pattern) {
  int problem = 0;
  std::size_t at = 0;
  const auto* text = reinterpret_cast<PCRE2_SPTR>(pattern.data());
  return {pcre2_compile(text, pattern.size(), PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &problem, &at, nullptr),
          &pcre2_code_free};
}

/// The match at the path's start (up to its end if `whole`); null if none.
Match match_path(const std::string& pattern, const std::string& path, bool whole) {
  const Code code = compile(pattern);
  if (!code) {
    throw Error(ExitCode::model, fmt::format("\"{}\" is not a regular expression that is understood here", pattern));
  }
  Match match(pcre2_match_data_create_from_pattern(code.get(), nullptr), &pcre2_match_data_free);
  const Context context(pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMostSteps);
  const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0,
                                whole ? PCRE2_ENDANCHORED : 0U, match.get(), context.get());
  if (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_HEAPLIMIT || found == PCRE2_ERROR_DEPTHLIMIT) {
    throw Error(ExitCode::model,
                fmt::format("the regular expression \"{}\" takes too many steps to hold against {}; write it more "
                            "simply (without nested * or +)",
                            pattern, path));
  }
  return found >= 0 ? std::move(match) : Match(nullptr, &pcre2_match_data_free);
}

}  // namespace

bool is_regular_expression(const std::string& text) { return !std::all_of(text.begin(), text.end(), is_plain); }

std::string problem_of_pattern(const std::string& pattern) {
  if (pattern.size() > kLongest) {
    return "is longer than 1000 characters";
  }
  return compile(pattern) ? "" : "is not a regular expression that is understood here";
}

bool path_matches(const std::string& pattern, const std::string& path) { return match_path(pattern, path, true) != nullptr; }

bool ends_with_name(const std::string& path, const std::string& name) { return path == name || path.ends_with("." + name); }

bool ends_with_any(const std::string& path, const std::vector<std::string>& endings) {
  return std::any_of(endings.begin(), endings.end(), [&](const std::string& ending) { return path.ends_with(ending); });
}

bool ending_matches(const std::string& pattern, const std::string& path) {
  if (is_regular_expression(pattern)) {
    return path_matches("(?:.*\\.)?(?:" + pattern + ")", path);
  }
  return ends_with_name(path, pattern);
}

std::optional<std::int64_t> number_after(const std::string& pattern, const std::string& path) {
  const Match match = match_path("(?:" + pattern + ")\\.(\\d{1,9})\\.", path, false);
  if (!match) {
    return std::nullopt;
  }
  const std::size_t last = pcre2_get_ovector_count(match.get()) - 1;
  const std::size_t* ends = pcre2_get_ovector_pointer(match.get()) + 2 * last;
  return std::stoll(path.substr(ends[0], ends[1] - ends[0]));
}

}  // namespace lora_dist
