// The tokenizer classes of transformers 5 that build a tokenizer of their own from a folder's vocabulary, and which one a folder
// is loaded with (models/auto/tokenization_auto.py of 5.24.0).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/folder_files.h"

namespace lora_dist {

/// A named token that a class has where no file mentions it; null: the class has none, and knows the key.
struct DefaultToken {
  const char* key;
  const char* content;
};

/// Arguments of a class that change what it builds, from tokenizer_config.json.
struct ClassArguments {
  std::optional<bool> add_prefix_space;
  bool legacy = false;
  std::optional<std::string> unk;
};

struct TokenizerClass {
  std::string_view name;
  /// model (without vocab and merges), normalizer, pre_tokenizer and decoder in tokenizer.json's form; null: those of the
  /// folder's file are taken as they stand.
  nlohmann::json (*build)(const ClassArguments&) = nullptr;
  std::span<const DefaultToken> defaults{};
  bool reads_vocab_and_merges = false;
  bool own_affixes = false;        // add_bos_token and add_eos_token decide, whatever the post_processor
  bool adds_bos = false;           // the default of add_bos_token
  bool plain_special = false;      // special tokens lose the flags that files give them
  bool all_special = false;        // all named tokens are special, whatever a file says
  std::optional<bool> bos_in_4{};  // version 4 puts BOS by add_bos_token, with this default, and EOS by add_eos_token
};

/// The class that AutoTokenizer of transformers 5 takes: by tokenizer_class of tokenizer_config.json, else of config.json, else
/// by model_type. Adds a note where another class than the one that the folder names builds steps of its own, and where the named
/// class is not known; none where TokenizersBackend takes tokenizer.json as it stands (of a mistral, or a byte-level one under
/// the name of LlamaTokenizer), as version 4 does. Throws Error(model) for malformed keys of tokenizer_config.json.
const TokenizerClass& choose_tokenizer_class(const FolderFiles& files, std::vector<std::string>& notes);

/// The class that version 4 takes, where it is one of the table.
const TokenizerClass* tokenizer_class_of_4(const FolderFiles& files);

/// Throws Error(model) naming the file where add_prefix_space or legacy is neither true nor false.
ClassArguments class_arguments(const FolderFiles& files, const TokenizerClass& tokenizer_class);

}  // namespace lora_dist
