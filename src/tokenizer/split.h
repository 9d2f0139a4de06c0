// Splits text at matches of a pattern, like the pre-tokenizer Split of Hugging Face's tokenizers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/regex.h"

namespace lora_dist {

/// The treatment of a match.
enum class SplitBehavior : std::uint8_t {
  removed,               // dropped
  isolated,              // a separate piece
  merged_with_previous,  // the end of the piece before it
  merged_with_next,      // the start of the piece after it
  contiguous,            // one piece with adjacent matches
};

struct SplitStep {
  std::variant<std::string, Regex> pattern;  // a non-empty literal or an expression
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // swaps matches and gaps
};

/// A part of a text, in bytes.
struct Range {
  std::size_t begin = 0, end = 0;
};

/// Appends the pieces of text[part], none of them empty. Throws RegexError.
void split(const SplitStep& step, std::string_view text, Range part, std::vector<Range>& out);

}  // namespace lora_dist
