// The files of a model folder that say what its tokenizer is, beside the vocabulary itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace lora_dist {

/// Which files hold the vocabulary: the first that is there, in this order, as in transformers 5.
enum class VocabularySource : std::uint8_t {
  tokenizer_json,
  tokenizer_model,   // sentencepiece
  vocab_and_merges,  // vocab.json with merges.txt
};

struct FolderFiles {
  std::filesystem::path folder;
  VocabularySource source = VocabularySource::tokenizer_json;
  nlohmann::ordered_json config = nlohmann::ordered_json::object();  // tokenizer_config.json
  nlohmann::ordered_json special_map;                                // special_tokens_map.json; null where there is none
  nlohmann::ordered_json added_tokens;                               // added_tokens.json; null where there is none
  bool has_config = false;
  bool has_chat_template = false;  // in a file of its own, or in tokenizer_config.json
  // Of config.json; empty where it is absent or does not say.
  std::string model_type, model_tokenizer_class;

  std::filesystem::path config_file() const { return folder / "tokenizer_config.json"; }
  std::filesystem::path map_file() const { return folder / "special_tokens_map.json"; }
  std::filesystem::path added_file() const { return folder / "added_tokens.json"; }
  /// The file that holds the vocabulary.
  std::filesystem::path vocabulary_file() const;
};

/// The first source that is there; none where the folder has no tokenizer.
std::optional<VocabularySource> find_vocabulary(const std::filesystem::path& folder);

/// Throws Error(model) naming the file when one of them is malformed.
FolderFiles read_folder_files(const std::filesystem::path& folder, VocabularySource source);

/// A key of tokenizer_config.json that is true, false, or null or absent. Throws Error(model) for anything else.
std::optional<bool> config_flag(const FolderFiles& files, const char* key);

}  // namespace lora_dist
