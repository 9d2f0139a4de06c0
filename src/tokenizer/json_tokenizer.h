// A tokenizer.json as Hugging Face's tokenizers library reads it: added tokens, normalizer, pre-tokenizer, model, decoder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/bpe.h"
#include "src/tokenizer/decoder.h"
#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pre_tokenizer.h"
#include "src/tokenizer/unigram.h"

namespace lora_dist {

struct JsonTokenizer {
  std::variant<BpeModel, UnigramModel> model;
  AddedTokens added;
  std::vector<NormalizeStep> normalizer;
  std::vector<PreTokenizeStep> pre_tokenizer;
  std::vector<DecodeStep> decoder;
  bool asks_for_front = false;               // a pre-tokenizer depends on the text's start, and a normalizer may remove it
  bool has_decoder = false;                  // without one the tokens are joined with spaces
  std::vector<std::int32_t> prefix, suffix;  // of the post-processor's single-text template
  std::int32_t largest_id = 0;
  std::shared_ptr<WordCaches> caches = std::make_shared<WordCaches>();
};

/// The model's own vocabulary.
const TokenTable& vocab_of(const JsonTokenizer& tokenizer);

/// `text` must be UTF-8. continuation: no dummy space before the text. Throws Error(model) if a regular expression of the
/// tokenizer takes too long on the text, or if a Unigram model without unk meets an unknown character.
std::vector<std::int32_t> encode(const JsonTokenizer& tokenizer, std::string_view text, bool continuation);
std::string decode(const JsonTokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special);
std::optional<std::string_view> token_text(const JsonTokenizer& tokenizer, std::int32_t id);
std::optional<std::int32_t> token_id(const JsonTokenizer& tokenizer, std::string_view token);
bool is_special(const JsonTokenizer& tokenizer, std::int32_t id);
/// True if decoding only joins bytes of GPT-2's alphabet.
bool is_byte_level(const JsonTokenizer& tokenizer);
/// True if tokens are bytes in that alphabet.
bool has_byte_alphabet(const JsonTokenizer& tokenizer);
/// True if a token's text depends on its neighbours in other ways than in Llama's decoder: bytes mixed with other decoder steps,
/// word suffixes, spaces between tokens.
bool decodes_late(const JsonTokenizer& tokenizer);
/// The bytes that such a tokenizer's token contributes, before UTF-8 validation; empty for an unknown id.
std::string token_bytes(const JsonTokenizer& tokenizer, std::int32_t id);

}  // namespace lora_dist
