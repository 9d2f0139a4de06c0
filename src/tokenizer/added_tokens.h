// Tokens that are found in the text as they stand, before BPE sees it (<s>, </s>, <|im_start|>).
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace lora_dist {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no letter or digit stands beside it
  bool lstrip = false;       // takes the white space to its left with it
  bool rstrip = false;       // and to its right
  bool normalized = false;   // looked for after the normalizer, and normalised itself
  bool special = false;
  bool shown_normalized = false;  // it was normalized once: decoding still sees that form, as in tokenizers
  std::string shown{};            // what decoding sees: the content, normalised where `normalized`
};

/// True if decode(skip_special) leaves the token out. As in tokenizers, not where the normalizer changes it.
inline bool is_hidden(const AddedToken& token) { return token.special && token.shown == token.content; }

/// The same content and flags, whatever the ids.
bool same_token(const AddedToken& a, const AddedToken& b);

/// Tokens to look for, by their first byte, the longest first.
struct TokenMatcher {
  struct Entry {
    std::string pattern;
    std::size_t token = 0;  // index into AddedTokens::tokens
  };
  std::vector<std::vector<Entry>> by_first_byte = std::vector<std::vector<Entry>>(256);
  std::vector<std::bitset<256>> second_bytes =
      std::vector<std::bitset<256>>(256);  // of those; all of them for a pattern of one byte
  bool empty = true;
};

struct AddedTokens {
  std::vector<AddedToken> tokens;
  TokenMatcher plain;       // looked for in the text
  TokenMatcher normalized;  // looked for in the normalised text
  std::unordered_map<std::int32_t, std::size_t> by_id;
  bool split_special = false;  // special tokens are not looked for: they are cut like other text
};

/// A part of a text: a token, or (id empty) text without one.
struct TextPart {
  std::size_t begin = 0, end = 0;
  std::optional<std::int32_t> id;
};

/// Fills the matchers and by_id from `tokens`. `normalize` is the tokenizer's normalizer.
void index_added_tokens(AddedTokens& added, const std::function<std::string(std::string_view)>& normalize);

/// Cuts the text at the matches, from the left, the longest match first. An empty text gives no part.
std::vector<TextPart> split_at_tokens(const AddedTokens& added, const TokenMatcher& matcher, std::string_view text);

}  // namespace lora_dist
