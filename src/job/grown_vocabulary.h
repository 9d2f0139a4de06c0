// A vocabulary that an adapter makes larger than the model's, and the tokenizer that belongs to it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "src/config/config.h"
#include "src/model/model_config.h"
#include "src/tokenizer/new_tokens.h"

namespace lora_dist {

struct GrownVocabulary {
  std::int64_t rows = 0;                 // that embedding and head need at least
  std::filesystem::path tokenizer = {};  // the folder of the tokenizer; empty: the model's
};

/// The vocabulary of an adapter's folder; empty path: no adapter. The folder's tokenizer counts if tokens are trained.
GrownVocabulary vocabulary_of(const std::filesystem::path& adapter);

/// Chooses the ids of tokenizer.add_tokens and add_special_tokens, which follow those of `grown`'s tokenizer: sets
/// config.tokenizer.new_ids and grown.rows. Throws as choose_new_tokens, and Error(usage) for tokens that an adapter to start
/// from lacks.
NewTokens add_configured_tokens(Config& config, GrownVocabulary& grown);

/// Gives embedding and head as many rows.
void grow_vocabulary(ModelSpec& spec, const GrownVocabulary& grown);

}  // namespace lora_dist
