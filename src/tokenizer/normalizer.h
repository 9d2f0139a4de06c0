// Normalizers of a tokenizer.json: what is done to a text before it is cut.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/normal_form.h"
#include "src/tokenizer/regex.h"

namespace lora_dist {

/// Puts `text` in front of what is not empty.
struct PrependStep {
  std::string text;
};
/// Replaces every match of `from` (text that stands for itself, not empty, or an expression) by `to`, taken as it stands.
struct ReplaceStep {
  std::variant<std::string, Regex> from;
  std::string to;
  bool of_front = false;  // the expression begins with \A: it speaks of the front of a text
};
struct NormalFormStep {
  NormalForm form = NormalForm::nfc;
};
struct LowercaseStep {};
/// Cuts white space off the ends.
struct StripSpaceStep {
  bool left = true, right = true;
};
using NormalizeStep = std::variant<PrependStep, ReplaceStep, NormalFormStep, LowercaseStep, StripSpaceStep>;

/// prepend: false, for a text that continues another, leaves the PrependSteps out, and of expressions that speak of the front of
/// a text the match at the front. Throws RegexError.
std::string normalize(const std::vector<NormalizeStep>& steps, std::string_view text, bool prepend);

/// True if loses_front() can be true for any text.
bool may_lose_front(const std::vector<NormalizeStep>& steps);

/// True if a step cuts something off the front of the text, so that what is left does not begin where the text did.
bool loses_front(const std::vector<NormalizeStep>& steps, std::string_view text);

/// True if normalize() would return the text itself; false says nothing.
bool is_plainly_normal(const std::vector<NormalizeStep>& steps, std::string_view text);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);
/// Throws RegexError.
std::string replace_all(const ReplaceStep& step, std::string_view text);

}  // namespace lora_dist
