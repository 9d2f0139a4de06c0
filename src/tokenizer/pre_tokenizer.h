// Pre-tokenizers of a tokenizer.json: how a text is cut into the pieces within which BPE merges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/split.h"
#include "src/tokenizer/utf8.h"

namespace lora_dist {

enum class PrependScheme : std::uint8_t { always, first, never };  // first: only the piece at the start of the text

/// Spaces become `replacement`, one is put in front (see PrependScheme) where there is none, and, with split, every
/// replacement begins a piece.
struct MetaspaceStep {
  std::string replacement{kUnderline};
  PrependScheme scheme = PrependScheme::always;
  bool split = true;
};

/// Bytes of the pieces become characters of GPT-2's alphabet.
struct ByteLevelStep {
  bool prefix_space = false;       // a space is put in front of each piece without one
  std::vector<SplitStep> split{};  // GPT-2's pattern, or nothing
  bool in_alphabet = true;         // false: the pieces stay bytes, for a model that knows (BpeModel::of_bytes)
};

using PreTokenizeStep = std::variant<SplitStep, MetaspaceStep, ByteLevelStep>;

/// A text and its pieces, in order.
struct Pieces {
  std::string_view text;  // the caller's, or `rewritten`
  std::string rewritten{};
  std::vector<Range> ranges{};
  bool front_cut = false;  // a step has left out what the part began with
};

/// The pieces of one part of a text; at_start: the part begins where the text does. prepend: false puts nothing in front.
/// Throws RegexError. The result refers to `part` and to `out`.
void pre_tokenize(const std::vector<PreTokenizeStep>& steps, std::string_view part, bool at_start, bool prepend, Pieces& out);

/// GPT-2's own pattern, which ByteLevel uses.
SplitStep gpt2_split();

}  // namespace lora_dist
