// Pre-tokenizers of a tokenizer.json: split a text into the pieces within which BPE merges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/core/utf8.h"
#include "src/tokenizer/split.h"

namespace lora_dist {

enum class PrependScheme : std::uint8_t { always, first, never };  // first: only for the piece at the start of the text

/// Replaces spaces by `replacement`, prepends one if missing (see PrependScheme), and with `split` begins a piece at every
/// replacement.
struct MetaspaceStep {
  std::string replacement{kUnderline};
  PrependScheme scheme = PrependScheme::always;
  bool split = true;
};

/// Maps bytes of the pieces to GPT-2's alphabet.
struct ByteLevelStep {
  bool prefix_space = false;       // prepends a space to each piece without one
  std::vector<SplitStep> split{};  // GPT-2's pattern, or empty
  bool in_alphabet = true;         // false: pieces stay bytes (BpeModel::of_bytes)
};

using PreTokenizeStep = std::variant<SplitStep, MetaspaceStep, ByteLevelStep>;

/// A text and its pieces, in order.
struct Pieces {
  std::string_view text;  // the caller's, or `rewritten`
  std::string rewritten{};
  std::vector<Range> ranges{};
  bool front_cut = false;  // a step has removed the part's start
};

/// The pieces of one part of a text; at_start: the part is at the start of the text. prepend: false prepends nothing. Throws
/// RegexError. The result refers to `part` and `out`.
void pre_tokenize(const std::vector<PreTokenizeStep>& steps, std::string_view part, bool at_start, bool prepend, Pieces& out);

/// GPT-2's pattern, used by ByteLevel.
SplitStep gpt2_split();

}  // namespace lora_dist
