// Regular expressions of a tokenizer.json, which are Oniguruma's, through PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// A compiled pattern. Copies share it; may be used from several threads.
struct Regex {
  struct Program;
  std::shared_ptr<const Program> program;
};

/// Why a pattern cannot be compiled, or gave up on a text; the caller knows the file.
class RegexError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Match {
  std::size_t begin = 0, end = 0;  // bytes
};

/// Throws RegexError when the pattern is malformed, or uses syntax that means something else in PCRE2.
Regex compile_regex(std::string_view pattern);

/// Appends the matches in `text` (UTF-8) from the left. As in Oniguruma's find_iter, an empty match right after another one does
/// not count. Throws RegexError when the pattern takes too long.
void find_matches(const Regex& regex, std::string_view text, std::vector<Match>& out);

}  // namespace lora_dist
