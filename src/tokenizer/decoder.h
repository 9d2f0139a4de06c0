// Decoders of a tokenizer.json.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace lora_dist {

struct ByteFallbackStep {};  // consecutive <0x41> tokens become the text of their bytes, or one U+FFFD each if invalid UTF-8
struct FuseStep {};          // all tokens become one
/// Cuts up to `start` of `content` from the front of each token and up to `stop` from its end.
struct StripStep {
  std::string content;  // one character
  std::size_t start = 0, stop = 0;
};
struct FromByteLevelStep {};  // joins all tokens and maps GPT-2's alphabet to bytes; invalid UTF-8 becomes U+FFFD

struct SuffixStep {  // replaces the end-of-word suffix by a space, and removes the last token's
  std::string suffix;
};

using DecodeStep = std::variant<ReplaceStep, ByteFallbackStep, FuseStep, StripStep, MetaspaceStep, FromByteLevelStep, SuffixStep>;

/// The byte of a token like <0x41>, or -1.
int byte_of_token(std::string_view token);

/// The text of tokens. Throws RegexError.
std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens);

}  // namespace lora_dist
