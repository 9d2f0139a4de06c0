// Decoders of a tokenizer.json: how tokens become text again.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace lora_dist {

struct ByteFallbackStep {};  // runs of <0x41> become the text of their bytes, or U+FFFD for each where they are not UTF-8
struct FuseStep {};          // all tokens become one
/// Cuts up to `start` of `content` from the front of each token and up to `stop` from its end.
struct StripStep {
  std::string content;  // one character
  std::size_t start = 0, stop = 0;
};
struct FromByteLevelStep {};  // out of GPT-2's alphabet: all tokens become one, and what is not UTF-8 U+FFFD

struct SuffixStep {  // the end of a word becomes a space, that of the last token nothing
  std::string suffix;
};

using DecodeStep = std::variant<ReplaceStep, ByteFallbackStep, FuseStep, StripStep, MetaspaceStep, FromByteLevelStep, SuffixStep>;

/// The byte that a token like <0x41> stands for, or -1.
int byte_of_token(std::string_view token);

/// The text of tokens. Throws RegexError.
std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens);

}  // namespace lora_dist
