// Oniguruma regular expressions of a tokenizer.json, by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// A compiled pattern. Copies share it; thread-safe.
struct Regex {
  struct Program;
  std::shared_ptr<const Program> program;
};

/// A compile error or an aborted match; the caller adds the file name.
class RegexError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Match {
  std::size_t begin = 0, end = 0;  // bytes
};

/// Throws RegexError if the pattern is malformed, or uses syntax with another meaning in PCRE2.
Regex compile_regex(std::string_view pattern);

/// Appends the matches in `text` (UTF-8) from the left. As in Oniguruma's find_iter, an empty match directly after another match
/// is ignored. Throws RegexError if the pattern takes too long.
void find_matches(const Regex& regex, std::string_view text, std::vector<Match>& out);

}  // namespace lora_dist
