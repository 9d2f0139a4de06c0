// Sizes from an adapter's folder, and from the configuration.
#include "src/job/grown_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/adapter/trained_modules_folder.h"
#include "src/core/error.h"
#include "src/tokenizer/new_tokens.h"

namespace lora_dist {

GrownVocabulary vocabulary_of(const std::filesystem::path& adapter) {
  if (adapter.empty()) {
    return {};
  }
  const std::int64_t rows = vocabulary_rows(adapter);
  return {rows, rows > 0 && has_tokenizer(adapter) ? adapter : std::filesystem::path()};
}

NewTokens add_configured_tokens(Config& config, GrownVocabulary& grown) {
  TokenizerConfig& asked = config.tokenizer;
  asked.new_ids.clear();
  if (asked.add_tokens.empty() && asked.add_special_tokens.empty()) {
    return {};
  }
  const std::filesystem::path model = config.model.path;
  const Tokenizer tokenizer = open_tokenizer(grown.tokenizer.empty() ? model : grown.tokenizer, model);
  NewTokens chosen = choose_new_tokens(tokenizer, asked.add_tokens, asked.add_special_tokens);
  if (!chosen.tokens.empty() && !config.adapter.init_from.empty()) {
    throw Error(
        ExitCode::usage,
        fmt::format("tokenizer.add_tokens: the adapter in adapter.init_from ({}) has no row for \"{}\"; add tokens where an "
                    "adapter is new",
                    config.adapter.init_from, chosen.tokens.front().content));
  }
  for (const NewToken& token : chosen.tokens) {
    asked.new_ids.push_back(token.id);
    grown.rows = std::max<std::int64_t>(grown.rows, token.id + 1);
  }
  return chosen;
}

void grow_vocabulary(ModelSpec& spec, const GrownVocabulary& grown) {
  spec.added_rows = std::max<std::int64_t>(grown.rows - spec.vocab, 0);
  spec.vocab += spec.added_rows;
}

}  // namespace lora_dist
