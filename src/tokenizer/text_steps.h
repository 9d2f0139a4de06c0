// The text steps around BPE in a tokenizer.json of the Llama family: normalizer, Metaspace pre-tokenizer, decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lora_dist {

/// Puts `text` in front of what is not empty.
struct PrependStep {
  std::string text;
};
/// Replaces every `from` by `to`.
struct ReplaceStep {
  std::string from, to;
};
using NormalizeStep = std::variant<PrependStep, ReplaceStep>;

enum class PrependScheme : std::uint8_t { always, first, never };  // first: only the piece at the start of the text

/// Spaces become `replacement`, one is put in front (see PrependScheme) where there is none, and, with split, every
/// replacement begins a piece.
struct MetaspaceStep {
  std::string replacement = "\xE2\x96\x81";  // U+2581
  PrependScheme scheme = PrependScheme::always;
  bool split = true;
};

struct ByteFallbackStep {};  // runs of <0x41> become the text of their bytes, or U+FFFD for each where they are not UTF-8
struct FuseStep {};          // all tokens become one
/// Cuts up to `start` of `content` from the front of each token and up to `stop` from its end.
struct StripStep {
  std::string content;  // one character
  std::size_t start = 0, stop = 0;
};
using DecodeStep = std::variant<ReplaceStep, ByteFallbackStep, FuseStep, StripStep, MetaspaceStep>;

/// prepend: false leaves the PrependSteps out.
std::string normalize(const std::vector<NormalizeStep>& steps, std::string_view text, bool prepend);

/// The pieces of one part of a text; at_start: the part begins where the text does. prepend: false puts nothing in front.
std::vector<std::string> pre_tokenize(const std::vector<MetaspaceStep>& steps, std::string_view part, bool at_start,
                                      bool prepend);

/// The text of tokens.
std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace lora_dist
