// A model folder's tokenizer, equivalent to AutoTokenizer of transformers 5: tokenizer.json (BPE, byte-level or with byte
// fallback), tokenizer.model (sentencepiece), or vocab.json with merges.txt; tokens, flags and class from tokenizer_config.json,
// special_tokens_map.json, added_tokens.json and config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/tokenizer/json_tokenizer.h"
#include "src/tokenizer/sentencepiece_tokenizer.h"

namespace lora_dist {

/// Immutable once opened, so thread-safe.
struct Tokenizer {
  std::variant<JsonTokenizer, SentencePieceTokenizer> kind;
  std::optional<std::int32_t> bos, eos, unk, pad;
  std::vector<std::int32_t> prefix;  // prepended with add_special (usually BOS)
  std::vector<std::int32_t> suffix;  // appended with add_special (usually empty)
  std::int32_t vocab_size = 0;       // largest id + 1
  std::int32_t model_size = 0;       // the same without added tokens
  bool has_chat_template = false;    // the folder has a chat_template
  std::filesystem::path file;        // the opened file
  std::string prefix_reason{};       // which file puts the prefix there, or why there is none: "post_processor of tokenizer.json"
  std::string suffix_reason{};
  std::vector<std::string> notes{};  // for the user: ignored settings of the folder, differences between versions of transformers
};

/// True if the folder has a tokenizer.json, a vocab.json with merges.txt, or a tokenizer.model.
bool has_tokenizer(const std::filesystem::path& model_folder);

/// Opens the first existing one of tokenizer.json, tokenizer.model, and vocab.json with merges.txt. `model`: the folder of
/// config.json, if it is another one (an adapter's folder has a tokenizer of its own). Throws Error(model) naming the file and
/// the malformed or unsupported part.
Tokenizer open_tokenizer(const std::filesystem::path& folder, const std::filesystem::path& model = {});

/// Ids of a whole text, equal to Hugging Face's. Special tokens in the text ("</s>") become their ids. Invalid UTF-8 counts as
/// U+FFFD. add_special: with the tokenizer's prefix and suffix.
std::vector<std::int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special);

/// Ids of a prompt: with the prefix (not doubled if the text begins with it), without the suffix.
std::vector<std::int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text);

/// Ids of a continuation: without BOS and leading dummy space, so that
/// decode(encode(a) + encode_continuation(b)) is a + b.
std::vector<std::int32_t> encode_continuation(const Tokenizer& tokenizer, std::string_view text);

/// Text of ids. Skips unknown ids. skip_special: also skips BOS, EOS and the like.
std::string decode(const Tokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special);

/// A token's text in the vocabulary ("▁the", "<0x0A>"), for display; "<id 600>" if unknown.
std::string token_text(const Tokenizer& tokenizer, std::int32_t id);

/// True if there is a token with this id.
bool has_token(const Tokenizer& tokenizer, std::int32_t id);

/// The id of a token's text in the vocabulary.
std::optional<std::int32_t> token_id(const Tokenizer& tokenizer, std::string_view token);

/// Decodes generated ids one at a time. It returns only complete UTF-8 characters: bytes are held until the character is
/// complete, or until the next token makes it invalid (U+FFFD). The concatenated pieces equal the text of decode().
struct StreamDecoder {
  const Tokenizer* tokenizer = nullptr;
  bool skip_special = true;
  std::vector<std::int32_t> context{};  // the last decoded token (more if it has no text)
  std::vector<std::int32_t> held{};     // byte tokens of an incomplete character
  std::string held_bytes{};             // the same for byte-level tokenizers
};

/// The text that `id` completes, perhaps empty.
std::string push(StreamDecoder& decoder, std::int32_t id);
/// The text still held at the end.
std::string finish(StreamDecoder& decoder);

}  // namespace lora_dist
