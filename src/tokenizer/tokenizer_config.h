// What tokenizer_config.json and special_tokens_map.json say beside the tokenizer itself.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/tokenizer/added_tokens.h"

namespace lora_dist {

struct TokenizerConfig {
  std::optional<std::string> bos, eos, unk, pad;
  std::optional<bool> add_bos, add_eos;
  bool legacy = true;
  bool add_prefix_space = false;
  std::string tokenizer_class;
  bool has_chat_template = false;
  std::vector<AddedToken> added;  // added_tokens_decoder
};

/// Both files may be absent; the first one wins. Throws Error(model) naming the file when one is malformed.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_folder);

}  // namespace lora_dist
