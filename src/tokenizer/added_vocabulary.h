// Assigns ids to tokens added to a model's vocabulary (AddedVocabulary::add_tokens of tokenizers 0.23.3).
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

/// The model's own vocabulary.
struct ModelVocabulary {
  std::int32_t size = 0;  // the number of tokens; differs from the largest id + 1 if ids have gaps
  std::function<std::optional<std::int32_t>(std::string_view)> id_of;
  std::function<std::optional<std::string>(std::int32_t)> token_of;
};

class AddedVocabulary {
 public:
  explicit AddedVocabulary(ModelVocabulary model) : model_(std::move(model)) {}

  /// A known token keeps its id and takes the new flags; a new token gets the next id, ignoring AddedToken::id. A special token
  /// stays special. Throws std::runtime_error naming both tokens if the next id is taken.
  void add(std::span<const AddedToken> tokens);

  std::optional<std::int32_t> id_of(std::string_view content) const;
  const ModelVocabulary& model() const { return model_; }
  /// In the order of addition, with their ids.
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
