// A model folder's tokenizer: text to ids and back, as transformers 5 (AutoTokenizer) reads the folder: tokenizer.json (BPE, of
// bytes or with byte fallback), tokenizer.model (sentencepiece), or vocab.json with merges.txt, and the tokens, flags and class
// that tokenizer_config.json, special_tokens_map.json, added_tokens.json and config.json name.
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

/// Opened once, then only read: may be used from several threads.
struct Tokenizer {
  std::variant<JsonTokenizer, SentencePieceTokenizer> kind;
  std::optional<std::int32_t> bos, eos, unk, pad;
  std::vector<std::int32_t> prefix;  // what add_special puts before a text (usually BOS)
  std::vector<std::int32_t> suffix;  // and after it (usually nothing)
  std::int32_t vocab_size = 0;       // largest id + 1
  std::int32_t model_size = 0;       // the same of the vocabulary without added tokens
  bool has_chat_template = false;    // the folder ships a chat_template
  std::filesystem::path file;        // what was opened
  std::string prefix_reason{};       // which file puts the prefix there, or why there is none: "post_processor of tokenizer.json"
  std::string suffix_reason{};
  std::vector<std::string>
      notes{};  // for the user: what the folder asks for and is not done, where versions of transformers differ
};

/// True when the folder has a tokenizer.json, a vocab.json with merges.txt, or a tokenizer.model.
bool has_tokenizer(const std::filesystem::path& model_folder);

/// Takes the first that is there of tokenizer.json, tokenizer.model and vocab.json with merges.txt. Throws Error(model) naming
/// the file and what is wrong or not supported.
Tokenizer open_tokenizer(const std::filesystem::path& model_folder);

/// Ids of a whole text, as Hugging Face's tokenizers give them. Special tokens written in the text ("</s>") become their ids.
/// Bytes that are not UTF-8 count as U+FFFD. add_special: with the tokenizer's prefix and suffix.
std::vector<std::int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special);

/// Ids of a text that is to be continued: with the prefix (not doubled when the text itself begins with it), without the
/// suffix.
std::vector<std::int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text);

/// Ids of a text that continues another: no BOS and no dummy space in front, so that
/// decode(encode(a) + encode_continuation(b)) is a + b.
std::vector<std::int32_t> encode_continuation(const Tokenizer& tokenizer, std::string_view text);

/// Text of ids. Ids that the tokenizer does not know are left out. skip_special: without BOS, EOS and their like.
std::string decode(const Tokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special);

/// A token as it stands in the vocabulary ("▁the", "<0x0A>"), for display; "<id 600>" when there is none.
std::string token_text(const Tokenizer& tokenizer, std::int32_t id);

/// True if there is a token with this id.
bool has_token(const Tokenizer& tokenizer, std::int32_t id);

/// The id of a token as it stands in the vocabulary.
std::optional<std::int32_t> token_id(const Tokenizer& tokenizer, std::string_view token);

/// Turns generated ids into text one at a time. It never gives out half a UTF-8 character: bytes wait until
/// their character is whole, or until the next token shows that it never will be (U+FFFD). All pieces together are the text that
/// decode() gives.
struct StreamDecoder {
  const Tokenizer* tokenizer = nullptr;
  bool skip_special = true;
  std::vector<std::int32_t> context{};  // the last token given out (more where it alone has no text): what the next one follows
  std::vector<std::int32_t> held{};     // byte tokens of a character that is not yet whole
  std::string held_bytes{};             // the same for tokens that are bytes anyway (byte-level tokenizers)
};

/// The text that `id` completes, perhaps empty.
std::string push(StreamDecoder& decoder, std::int32_t id);
/// What is still held, at the end.
std::string finish(StreamDecoder& decoder);

}  // namespace lora_dist
