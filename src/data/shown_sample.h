// Shows one sample, so that a wrong template or mask is seen before training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// A line per token: position, id, token, and "trained" or "-" for the loss. tokenizer may be null: ids only.
std::vector<std::string> show_sample(const Sample& sample, const Tokenizer* tokenizer);

/// Text of neighbouring tokens that are all trained, or all not trained. Control characters are escaped.
struct ShownText {
  std::string text;
  bool trained = false;
  bool operator==(const ShownText&) const = default;
};
using ShownLine = std::vector<ShownText>;

inline constexpr std::size_t kShownLines = 19;  // plus a heading

/// The sample as readable text, at most kShownLines lines of about 100 columns: of a longer one the start and the end, with the
/// number of omitted tokens between them. tokenizer may be null: the text is the ids.
std::vector<ShownLine> show_text_of(const Sample& sample, const Tokenizer* tokenizer);

/// Marks trained text: between [[ and ]], or in green on a terminal.
enum class SetApart : std::uint8_t { by_marks, by_colour };

/// A heading that explains the marks, and the lines.
std::vector<std::string> render_shown_text(const std::vector<ShownLine>& lines, SetApart how);

}  // namespace lora_dist
