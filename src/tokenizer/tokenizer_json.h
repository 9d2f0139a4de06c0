// Reads tokenizer.json, one function per part. All throw Error(model) naming the file, the position, and the malformed or
// unsupported value: features that would differ from Hugging Face's tokenizers are rejected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/tokenizer/added_vocabulary.h"
#include "src/tokenizer/json_fields.h"
#include "src/tokenizer/json_tokenizer.h"
#include "src/tokenizer/model_lists.h"

namespace lora_dist {

/// Makes a tokenizer of a document, with its added tokens; `file` is for messages.
JsonTokenizer read_tokenizer_document(TokenizerDocument document, const std::filesystem::path& file);

/// The same without added tokens, which set_added_tokens() adds.
JsonTokenizer read_tokenizer_steps(TokenizerDocument whole, const std::filesystem::path& file);

/// The tokenizer's own vocabulary; valid as long as `tokenizer` stays where it is.
ModelVocabulary vocabulary_of(const JsonTokenizer& tokenizer);

/// Throws Error(model) if the post-processor inserts an unknown id.
void set_added_tokens(JsonTokenizer& tokenizer, const AddedVocabulary& added, const std::filesystem::path& file);

std::vector<NormalizeStep> read_normalizer(const nlohmann::json& component, const JsonLocation& location);
std::vector<PreTokenizeStep> read_pre_tokenizer(const nlohmann::json& component, const JsonLocation& location);
std::vector<DecodeStep> read_decoder(const nlohmann::json& component, const JsonLocation& location);
/// `model`: without vocab and merges, which are in `lists`.
BpeModel read_bpe_model(const nlohmann::json& model, ModelLists&& lists, const JsonLocation& location);
UnigramModel read_unigram_model(const nlohmann::json& model, ModelLists&& lists, const JsonLocation& location);
/// The file's added tokens with their ids.
std::vector<AddedToken> read_added_tokens(const nlohmann::json& list, const JsonLocation& location);

/// Ids before and after one text.
struct Affixes {
  std::vector<std::int32_t> prefix, suffix;
};
Affixes read_post_processor(const nlohmann::json& component, const JsonLocation& location);

// Helpers shared by these functions.

[[noreturn]] void refuse(const JsonLocation& location, const std::string& type);
std::int32_t read_token_id(const nlohmann::json& value, const JsonLocation& location);
/// The steps of a component: none for null, the members of a Sequence, else the component itself. `list`: the key of a Sequence's
/// members.
std::vector<nlohmann::json> steps_of(const nlohmann::json& component, const std::string& list, const JsonLocation& location);
/// A step's pattern: {"String": non-empty text} or {"Regex": expression}.
std::variant<std::string, Regex> read_pattern(const nlohmann::json& step, const JsonLocation& location);
ReplaceStep read_replace(const nlohmann::json& step, const JsonLocation& location);
MetaspaceStep read_metaspace(const nlohmann::json& step, const JsonLocation& location);

}  // namespace lora_dist
