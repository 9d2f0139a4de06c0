// Tokens that are matched verbatim in the text before BPE (<s>, </s>, <|im_start|>).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/tokenizer/byte_trie.h"

namespace lora_dist {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // matches only without adjacent letters or digits
  bool lstrip = false;       // includes white space to its left
  bool rstrip = false;       // includes white space to its right
  bool normalized = false;   // matched after the normalizer, and normalised itself
  bool special = false;
  bool shown_normalized = false;  // was normalized earlier: decoding still uses that form, as in tokenizers
  std::string shown{};            // the form for decoding: the content, normalised if `normalized`
};

/// True if decode(skip_special) skips the token. As in tokenizers, false if the normalizer changes it.
inline bool is_hidden(const AddedToken& token) { return token.special && token.shown == token.content; }

/// Compares content and flags, not ids.
bool same_token(const AddedToken& a, const AddedToken& b);

struct AddedTokens {
  std::vector<AddedToken> tokens;
  // Tokens to their indices in `tokens`.
  ByteTrie plain;       // for the original text
  ByteTrie normalized;  // for the normalised text
  std::unordered_map<std::int32_t, std::size_t> by_id;
  bool split_special = false;  // special tokens are not matched, and split like other text
};

/// A part of a text: a token, or text between tokens (id empty).
struct TextPart {
  std::size_t begin = 0, end = 0;
  std::optional<std::int32_t> id;
};

/// Fills the matchers and by_id from `tokens`. `normalize` is the tokenizer's normalizer.
void index_added_tokens(AddedTokens& added, const std::function<std::string(std::string_view)>& normalize);

/// Splits the text at matches, leftmost first, then longest. An empty text gives no part. A token in the white space that the one
/// before it has taken (rstrip) is a part as well, which begins before that one ends.
std::vector<TextPart> split_at_tokens(const AddedTokens& added, const ByteTrie& matcher, std::string_view text);

}  // namespace lora_dist
