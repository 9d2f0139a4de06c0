// One sample laid open, so that a wrong template or mask is seen before it is trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// A line per token: position, id, token, and "trained" or "-" as the loss sees it. tokenizer may be null: ids alone.
std::vector<std::string> show_sample(const Sample& sample, const Tokenizer* tokenizer);

/// Text of neighbouring tokens that are all trained, or none of them. Control characters are written out.
struct ShownText {
  std::string text;
  bool trained = false;
  bool operator==(const ShownText&) const = default;
};
using ShownLine = std::vector<ShownText>;

inline constexpr std::size_t kShownLines = 19;  // and one above them

/// The sample as text to read, at most kShownLines lines of about 100 columns: of a longer one the begin and the end, and
/// between them how many tokens are left out. tokenizer may be null: ids are the text.
std::vector<ShownLine> show_text_of(const Sample& sample, const Tokenizer* tokenizer);

/// How trained text is set apart: between [[ and ]], or in green on a terminal.
enum class SetApart : std::uint8_t { by_marks, by_colour };

/// A line above that says how to read them, and the lines.
std::vector<std::string> render_shown_text(const std::vector<ShownLine>& lines, SetApart how);

}  // namespace lora_dist
