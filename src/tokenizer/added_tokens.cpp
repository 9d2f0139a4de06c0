// Matching follows tokenizers/src/tokenizer/added_vocabulary.rs: leftmost, then longest; white space taken by lstrip and rstrip.
#include "src/tokenizer/added_tokens.h"

#include <algorithm>

#include "src/tokenizer/utf8.h"
#include "src/tokenizer/word_character.h"

namespace lora_dist {
namespace {

void add_pattern(TokenMatcher& matcher, std::string pattern, std::size_t token) {
  if (pattern.empty()) {
    return;
  }
  const auto first = static_cast<unsigned char>(pattern[0]);
  auto& entries = matcher.by_first_byte[first];
  if (pattern.size() == 1) {
    matcher.second_bytes[first].set();
  } else {
    matcher.second_bytes[first].set(static_cast<unsigned char>(pattern[1]));
  }
  entries.push_back({std::move(pattern), token});
  matcher.empty = false;
}

void longest_first(TokenMatcher& matcher) {
  for (auto& entries : matcher.by_first_byte) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return a.pattern.size() > b.pattern.size(); });
  }
}

const TokenMatcher::Entry* match_at(const TokenMatcher& matcher, std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const auto second = static_cast<unsigned char>(at + 1 < text.size() ? text[at + 1] : text[at]);
  if (!matcher.second_bytes[first].test(second) && at + 1 < text.size()) {
    return nullptr;
  }
  for (const auto& entry : matcher.by_first_byte[first]) {
    if (text.compare(at, entry.pattern.size(), entry.pattern) == 0) {
      return &entry;
    }
  }
  return nullptr;
}

/// The next byte from `at` on at which a token may begin.
std::size_t next_first_byte(const TokenMatcher& matcher, std::string_view text, std::size_t at) {
  while (at < text.size() && matcher.by_first_byte[static_cast<unsigned char>(text[at])].empty()) {
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
  added.plain = {};
  added.normalized = {};
  added.by_id.clear();
  for (std::size_t i = 0; i < added.tokens.size(); ++i) {
    AddedToken& token = added.tokens[i];
    added.by_id[token.id] = i;
    token.shown = token.normalized || token.shown_normalized ? normalize(token.content) : token.content;
    add_pattern(token.normalized ? added.normalized : added.plain, token.normalized ? token.shown : token.content, i);
  }
  longest_first(added.plain);
  longest_first(added.normalized);
}

std::vector<TextPart> split_at_tokens(const AddedTokens& added, const TokenMatcher& matcher, std::string_view text) {
  std::vector<TextPart> parts;
  std::size_t done = 0;
  for (std::size_t at = matcher.empty ? text.size() : 0; (at = next_first_byte(matcher, text, at)) < text.size();) {
    const TokenMatcher::Entry* match = match_at(matcher, text, at);
    if (match == nullptr) {
      ++at;
      continue;
    }
    const AddedToken& token = added.tokens[match->token];
    if ((added.split_special && token.special) || (token.single_word && !stands_alone(text, at, at + match->pattern.size()))) {
      at += match->pattern.size();
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + match->pattern.size();
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
    done = at = end;
  }
  if (done < text.size()) {
    parts.push_back({done, text.size(), std::nullopt});
  }
  return parts;
}

}  // namespace lora_dist
