// The tokenizer files of a model folder other than the vocabulary.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace lora_dist {

/// The vocabulary files: the first existing one in this order, as in transformers 5.
enum class VocabularySource : std::uint8_t {
  tokenizer_json,
  tokenizer_model,   // sentencepiece
  vocab_and_merges,  // vocab.json with merges.txt
};

struct FolderFiles {
  std::filesystem::path folder;
  std::optional<std::filesystem::path> gguf{};  // holds all of the others; its vocabulary is shown as a tokenizer.json
  VocabularySource source = VocabularySource::tokenizer_json;
  nlohmann::ordered_json config = nlohmann::ordered_json::object();  // tokenizer_config.json
  nlohmann::ordered_json special_map;                                // special_tokens_map.json; null if absent
  nlohmann::ordered_json added_tokens;                               // added_tokens.json; null if absent
  bool has_config = false;
  bool has_chat_template = false;  // in its own file or in tokenizer_config.json
  // config.json's; empty if absent.
  std::string model_type, model_tokenizer_class;

  std::filesystem::path config_file() const { return gguf.value_or(folder / "tokenizer_config.json"); }
  std::filesystem::path map_file() const { return folder / "special_tokens_map.json"; }
  std::filesystem::path added_file() const { return folder / "added_tokens.json"; }
  /// The vocabulary's file.
  std::filesystem::path vocabulary_file() const;
};

/// The first existing source; nullopt if the folder has no tokenizer.
std::optional<VocabularySource> find_vocabulary(const std::filesystem::path& folder);

/// `model`: the folder of config.json, if it is another one. Throws Error(model) naming a malformed file.
FolderFiles read_folder_files(const std::filesystem::path& folder, VocabularySource source,
                              const std::filesystem::path& model = {});

/// A boolean of tokenizer_config.json; nullopt if null or absent. Throws Error(model) for other values.
std::optional<bool> config_flag(const FolderFiles& files, const char* key);

}  // namespace lora_dist
