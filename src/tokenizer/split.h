// Cutting text at the matches of a pattern, as the pre-tokenizer Split of Hugging Face's tokenizers does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/regex.h"

namespace lora_dist {

/// What becomes of a match.
enum class SplitBehavior : std::uint8_t {
  removed,               // left out
  isolated,              // a piece of its own
  merged_with_previous,  // the end of the piece before it
  merged_with_next,      // the start of the piece after it
  contiguous,            // one piece with the matches right beside it
};

struct SplitStep {
  std::variant<std::string, Regex> pattern;  // text that stands for itself, not empty, or an expression
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // what does not match is treated as the match
};

/// A part of a text, in bytes.
struct Range {
  std::size_t begin = 0, end = 0;
};

/// Appends the pieces of text[part], none of them empty. Throws RegexError.
void split(const SplitStep& step, std::string_view text, Range part, std::vector<Range>& out);

}  // namespace lora_dist
