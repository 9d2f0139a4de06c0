// A BPE tokenizer.json as Hugging Face's tokenizers library reads it: added tokens, normalizer, pre-tokenizer, BPE, decoder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/bpe.h"
#include "src/tokenizer/decoder.h"
#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace lora_dist {

struct JsonTokenizer {
  BpeModel model;
  AddedTokens added;
  std::vector<NormalizeStep> normalizer;
  std::vector<PreTokenizeStep> pre_tokenizer;
  std::vector<DecodeStep> decoder;
  bool asks_for_front = false;               // a pre-tokenizer asks for the front of a text, and a normalizer may cut it off
  bool has_decoder = false;                  // without one the tokens are joined with spaces
  std::vector<std::int32_t> prefix, suffix;  // of the post-processor's template for one text
  std::int32_t largest_id = 0;
};

/// `text` must be UTF-8. continuation: no dummy space is put in front of the text. Throws Error(model) when a regular expression
/// of the tokenizer takes too long on the text.
std::vector<std::int32_t> encode(const JsonTokenizer& tokenizer, std::string_view text, bool continuation);
std::string decode(const JsonTokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special);
std::optional<std::string_view> token_text(const JsonTokenizer& tokenizer, std::int32_t id);
std::optional<std::int32_t> token_id(const JsonTokenizer& tokenizer, std::string_view token);
bool is_special(const JsonTokenizer& tokenizer, std::int32_t id);
/// True if decoding joins bytes written in GPT-2's alphabet, and does nothing else.
bool is_byte_level(const JsonTokenizer& tokenizer);
/// True if tokens are bytes in that alphabet.
bool has_byte_alphabet(const JsonTokenizer& tokenizer);
/// True if a token's text may depend on those around it otherwise than with Llama's decoder: bytes among other steps of decoding,
/// the end of a word, spaces between tokens.
bool decodes_late(const JsonTokenizer& tokenizer);
/// What a token of such a tokenizer adds to the text before that is looked at as UTF-8; nothing for an unknown id.
std::string token_bytes(const JsonTokenizer& tokenizer, std::int32_t id);

}  // namespace lora_dist
