// Normalizers of a tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/charsmap.h"
#include "src/tokenizer/normal_form.h"
#include "src/tokenizer/regex.h"

namespace lora_dist {

/// Prepends `text` to a non-empty text.
struct PrependStep {
  std::string text;
};
/// Replaces every match of `from` (a non-empty literal or an expression) by the literal `to`.
struct ReplaceStep {
  std::variant<std::string, Regex> from;
  std::string to;
  bool of_front = false;  // the expression begins with \A: it matches only at the start of a text
};
struct NormalFormStep {
  NormalForm form = NormalForm::nfc;
};
struct LowercaseStep {};
/// Trims white space.
struct StripSpaceStep {
  bool left = true, right = true;
};
/// Replaces by sentencepiece's table.
struct CharsmapStep {
  std::shared_ptr<const Charsmap> map;
};
/// Maps bytes to GPT-2's alphabet.
struct ByteAlphabetStep {};
using NormalizeStep =
    std::variant<PrependStep, ReplaceStep, NormalFormStep, LowercaseStep, StripSpaceStep, CharsmapStep, ByteAlphabetStep>;

/// prepend: false (for a continuation) skips PrependSteps and matches at the start of expressions with \A. Throws RegexError.
std::string normalize(const std::vector<NormalizeStep>& steps, std::string_view text, bool prepend);

/// True if loses_front() can be true for any text.
bool may_lose_front(const std::vector<NormalizeStep>& steps);

/// True if a step removes the start of the text.
bool loses_front(const std::vector<NormalizeStep>& steps, std::string_view text);

/// True if normalize() would return the text unchanged; false is inconclusive.
bool is_plainly_normal(const std::vector<NormalizeStep>& steps, std::string_view text);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);
/// Throws RegexError.
std::string replace_all(const ReplaceStep& step, std::string_view text);

}  // namespace lora_dist
