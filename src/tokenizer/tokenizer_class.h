// The tokenizer classes of transformers 5 that build their own pipeline from a vocabulary, and the choice of a folder's class
// (models/auto/tokenization_auto.py of 5.24.0).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/folder_files.h"

namespace lora_dist {

/// A class's default of a named token; null: the key exists without a default.
struct DefaultToken {
  const char* key;
  const char* content;
};

/// Arguments in tokenizer_config.json that affect a class's pipeline.
struct ClassArguments {
  std::optional<bool> add_prefix_space;
  bool legacy = false;
  std::optional<std::string> unk;
};

struct TokenizerClass {
  std::string_view name;
  /// model (without vocab and merges), normalizer, pre_tokenizer and decoder in tokenizer.json's form; null: the folder's file is
  /// used unchanged.
  nlohmann::json (*build)(const ClassArguments&) = nullptr;
  std::span<const DefaultToken> defaults{};
  bool reads_vocab_and_merges = false;
  bool own_affixes = false;        // add_bos_token and add_eos_token override the post_processor
  bool adds_bos = false;           // the default of add_bos_token
  bool plain_special = false;      // ignores the files' flags of special tokens
  bool all_special = false;        // all named tokens are special, regardless of flags
  std::optional<bool> bos_in_4{};  // version 4 uses add_bos_token, with this default, and add_eos_token
};

/// The class that AutoTokenizer of transformers 5 chooses: by tokenizer_class of tokenizer_config.json, else of config.json, else
/// by model_type. Adds a note if another class than the named one builds its own pipeline, or if the named class is unknown; no
/// note if TokenizersBackend uses tokenizer.json unchanged (for mistral, or a byte-level one named LlamaTokenizer), as version 4
/// does. Throws Error(model) for malformed keys of tokenizer_config.json.
const TokenizerClass& choose_tokenizer_class(const FolderFiles& files, std::vector<std::string>& notes);

/// Version 4's class, if it is in the table.
const TokenizerClass* tokenizer_class_of_4(const FolderFiles& files);

/// Throws Error(model) naming the file if add_prefix_space or legacy is not a boolean.
ClassArguments class_arguments(const FolderFiles& files, const TokenizerClass& tokenizer_class);

}  // namespace lora_dist
