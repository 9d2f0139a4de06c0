// The next id is one past the largest, but at least the model's size.
#include "src/tokenizer/added_vocabulary.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace lora_dist {

std::int32_t AddedVocabulary::next_id() const { return std::max(largest_ + 1, model_.size); }

std::optional<std::int32_t> AddedVocabulary::id_of(std::string_view content) const {
  if (const auto found = by_content_.find(std::string(content)); found != by_content_.end()) {
    return tokens_[found->second].id;
  }
  return model_.id_of(content);
}

void AddedVocabulary::add(std::span<const AddedToken> tokens) {
  std::int32_t next = next_id();
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) {
      continue;
    }
    const auto known = id_of(token.content);
    const std::int32_t id = known ? *known : next++;
    if (const auto other = known ? std::nullopt : model_.token_of(id)) {
      throw std::runtime_error("the token " + token.content + " would get the id " + std::to_string(id) + ", which is that of " +
                               *other + ": the vocabulary leaves out ids below it");
    }
    const auto [location, fresh] = by_content_.emplace(token.content, tokens_.size());
    if (fresh) {
      tokens_.push_back(token);
    } else {
      const AddedToken before = std::exchange(tokens_[location->second], token);
      tokens_[location->second].special = before.special || token.special;
      tokens_[location->second].shown_normalized = before.normalized || before.shown_normalized;
    }
    tokens_[location->second].id = id;
    largest_ = std::max(largest_, id);
  }
}

}  // namespace lora_dist
