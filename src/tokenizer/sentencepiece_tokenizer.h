// Tokenizes by the sentencepiece library, for a tokenizer.model that is not BPE (Unigram, words, characters) or has a
// normalization table, with Hugging Face's handling of special tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/added_tokens.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace lora_dist {

struct SentencePieceTokenizer {
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> processor;
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> continuing;  // the same model without its dummy space
  std::size_t unk_length = 0;                                               // ids of the text "<unk>", see encode_as_it_stands
  AddedTokens added;   // the model's control tokens, and tokens of the folder's other files
  bool legacy = true;  // Hugging Face's `legacy`: a dummy space after every special token
  std::int32_t largest_id = 0;
};

/// Throws Error(model) if the library cannot load the bytes.
void check_tokenizer_model(const std::string& bytes, const std::filesystem::path& file);

/// `added`: tokens of the folder's other files, in addition to the model's control tokens. Throws Error(model) if the file is
/// unreadable or not a sentencepiece model.
SentencePieceTokenizer read_tokenizer_model(const std::filesystem::path& file, const std::vector<AddedToken>& added, bool legacy);

/// The number of the model's pieces, without added tokens.
std::int32_t piece_count(const SentencePieceTokenizer& tokenizer);
std::optional<std::int32_t> piece_id(const SentencePieceTokenizer& tokenizer, std::string_view piece);
std::optional<std::string> piece_text(const SentencePieceTokenizer& tokenizer, std::int32_t id);

/// `text` must be UTF-8. continuation: no dummy space before the text.
std::vector<std::int32_t> encode(const SentencePieceTokenizer& tokenizer, std::string_view text, bool continuation);
std::string decode(const SentencePieceTokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special);
std::optional<std::string> token_text(const SentencePieceTokenizer& tokenizer, std::int32_t id);
std::optional<std::int32_t> token_id(const SentencePieceTokenizer& tokenizer, std::string_view token);
bool is_special(const SentencePieceTokenizer& tokenizer, std::int32_t id);

}  // namespace lora_dist
