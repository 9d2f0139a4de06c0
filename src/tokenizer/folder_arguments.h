// The token arguments of a tokenizer class, which from_pretrained of transformers collects from tokenizer_config.json and
// special_tokens_map.json.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/folder_tokens.h"
#include "src/tokenizer/json_fields.h"

namespace lora_dist {

inline constexpr std::array<const char*, 7> kStandardTokens = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                               "pad_token", "cls_token", "mask_token"};
bool is_standard_token(std::string_view key);

/// Keys and tokens in insertion order; a repeated key keeps its position.
struct TokenMap {
  std::vector<FolderTokens::Named> items{};

  const FolderTokens::Named* find(std::string_view key) const;
  void set(const std::string& key, std::optional<FolderToken> token);
};

/// The list of unnamed special tokens, under its newer or older key.
struct TokenList {
  std::optional<nlohmann::ordered_json> tokens{};  // nullopt: no file has the key
  JsonLocation location{};
};

struct FolderArguments {
  TokenMap standard;             // kStandardTokens in the files
  TokenMap own;                  // model-specific ones: named text in tokenizer_config.json, and named extra_special_tokens
  TokenMap found;                // other keys that end in _token
  std::set<std::string> of_map;  // keys of special_tokens_map.json
  TokenList extra, additional;   // extra_special_tokens, additional_special_tokens
};

/// Parses a text, an object, or null. Throws Error(model) that begins with `location` for other values.
std::optional<FolderToken> read_folder_token(const nlohmann::ordered_json& value, const JsonLocation& location);

/// Reads tokenizer_config.json. Throws Error(model) naming file and key for a malformed token.
void read_config_arguments(const FolderFiles& files, FolderArguments& out);
/// Adds special_tokens_map.json, whose tokens are always special; it overrides tokenizer_config.json, with a note on differences.
/// Throws like read_config_arguments.
void read_map_arguments(const FolderFiles& files, FolderArguments& out, std::vector<std::string>& notes);

}  // namespace lora_dist
