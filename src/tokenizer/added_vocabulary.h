// Tokens on top of a model's vocabulary, and the ids that they get (AddedVocabulary::add_tokens of tokenizers 0.23.3).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "src/tokenizer/added_tokens.h"

namespace lora_dist {

/// What the model itself knows.
struct ModelVocabulary {
  std::int32_t size = 0;  // the number of tokens, which is not the largest id + 1 where ids are left out
  std::function<std::optional<std::int32_t>(std::string_view)> id_of;
  std::function<std::optional<std::string>(std::int32_t)> token_of;
};

class AddedVocabulary {
 public:
  explicit AddedVocabulary(ModelVocabulary model) : model_(std::move(model)) {}

  /// A token that the model or this vocabulary has keeps its id and takes the new flags; another gets the next id, whatever
  /// AddedToken::id says. Once special, always special. Throws std::runtime_error, naming both tokens, when the next id is
  /// another token's.
  void add(std::span<const AddedToken> tokens);

  std::optional<std::int32_t> id_of(std::string_view content) const;
  const ModelVocabulary& model() const { return model_; }
  /// In the order in which they came, with their ids.
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  bool contains(std::string_view content) const { return by_content_.contains(std::string(content)); }

 private:
  std::int32_t next_id() const;

  ModelVocabulary model_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> by_content_;
  std::int32_t largest_ = -1;
};

}  // namespace lora_dist
