// Matching follows tokenizers/src/tokenizer/added_vocabulary.rs: leftmost, then longest; white space taken by lstrip and rstrip.
#include "src/tokenizer/added_tokens.h"

#include <algorithm>

#include "src/core/utf8.h"
#include "src/tokenizer/word_character.h"

namespace lora_dist {
namespace {

/// The longest token at the start of the text; length 0 if there is none.
struct TokenMatch {
  std::size_t length = 0, token = 0;
};

TokenMatch match_at(const ByteTrie& matcher, std::string_view text) {
  TokenMatch out;
  matcher.for_each_prefix(text, [&](std::size_t length, std::int32_t token) { out = {length, static_cast<std::size_t>(token)}; });
  return out;
}

/// The next byte from `at` on at which a token may begin.
std::size_t next_first_byte(const ByteTrie& matcher, std::string_view text, std::size_t at) {
  while (at < text.size() && !matcher.has_first_byte(text[at])) {
    ++at;
  }
  return at;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  return !ends_with_word(text.substr(0, begin)) && !starts_with_word(text.substr(end));
}

}  // namespace

bool same_token(const AddedToken& a, const AddedToken& b) {
  return a.content == b.content && a.single_word == b.single_word && a.lstrip == b.lstrip && a.rstrip == b.rstrip &&
         a.normalized == b.normalized && a.special == b.special;
}

void index_added_tokens(AddedTokens& added, const std::function<std::string(std::string_view)>& normalize) {
  std::vector<std::pair<std::string_view, std::int32_t>> plain, normalized;
  added.by_id.clear();
  for (std::size_t i = 0; i < added.tokens.size(); ++i) {
    AddedToken& token = added.tokens[i];
    added.by_id[token.id] = i;
    token.shown = token.normalized || token.shown_normalized ? normalize(token.content) : token.content;
    if (token.normalized) {
      normalized.emplace_back(token.shown, static_cast<std::int32_t>(i));
    } else {
      plain.emplace_back(token.content, static_cast<std::int32_t>(i));
    }
  }
  added.plain = ByteTrie(std::move(plain));
  added.normalized = ByteTrie(std::move(normalized));
}

std::vector<TextPart> split_at_tokens(const AddedTokens& added, const ByteTrie& matcher, std::string_view text) {
  std::vector<TextPart> parts;
  std::size_t done = 0;
  for (std::size_t at = matcher.empty() ? text.size() : 0; (at = next_first_byte(matcher, text, at)) < text.size();) {
    const TokenMatch match = match_at(matcher, text.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = added.tokens[match.token];
    std::size_t begin = at;
    std::size_t end = at + match.length;
    at = end;  // not behind what rstrip takes: as in tokenizers, the next token may begin there
    if ((added.split_special && token.special) || (token.single_word && !stands_alone(text, begin, end))) {
      continue;
    }
    if (token.lstrip) {
      begin = std::max(done, begin - trailing_space(text.substr(0, begin)));
    }
    if (token.rstrip) {
      end += leading_space(text.substr(end));
    }
    if (done < begin) {
      parts.push_back({done, begin, std::nullopt});
    }
    parts.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) {
    parts.push_back({done, text.size(), std::nullopt});
  }
  return parts;
}

}  // namespace lora_dist
