// Matching follows tokenizers/src/tokenizer/added_vocabulary.rs: leftmost, then longest; white space taken by lstrip and rstrip.
#include "src/tokenizer/added_tokens.h"

#include <algorithm>

#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

void add_pattern(TokenMatcher& matcher, std::string pattern, std::size_t token) {
  if (pattern.empty()) {
    return;
  }
  auto& entries = matcher.by_first_byte[static_cast<unsigned char>(pattern[0])];
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
  for (const auto& entry : matcher.by_first_byte[static_cast<unsigned char>(text[at])]) {
    if (text.compare(at, entry.pattern.size(), entry.pattern) == 0) {
      return &entry;
    }
  }
  return nullptr;
}

}  // namespace

void index_added_tokens(AddedTokens& added, const std::function<std::string(std::string_view)>& normalize) {
  added.plain = {};
  added.normalized = {};
  added.by_id.clear();
  for (std::size_t i = 0; i < added.tokens.size(); ++i) {
    AddedToken& token = added.tokens[i];
    added.by_id[token.id] = i;
    token.shown = token.normalized ? normalize(token.content) : token.content;
    add_pattern(token.normalized ? added.normalized : added.plain, token.shown, i);
  }
  longest_first(added.plain);
  longest_first(added.normalized);
}

std::vector<TextPart> split_at_tokens(const AddedTokens& added, const TokenMatcher& matcher, std::string_view text) {
  std::vector<TextPart> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !matcher.empty;) {
    const TokenMatcher::Entry* match = match_at(matcher, text, at);
    if (match == nullptr) {
      ++at;
      continue;
    }
    const AddedToken& token = added.tokens[match->token];
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
