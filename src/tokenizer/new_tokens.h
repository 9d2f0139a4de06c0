// Tokens that a user adds to a tokenizer: their ids, and the files of the tokenizer that has them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

struct NewToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;
};

/// Tokens without those that the tokenizer has.
struct NewTokens {
  std::vector<NewToken> tokens;    // with rising ids, from the largest of the tokenizer on
  std::vector<std::string> notes;  // for the user: tokens that exist already
};

/// As add_tokens and add_special_tokens of transformers, in that order. Throws Error(usage) for an empty token and for one given
/// twice.
NewTokens choose_new_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& tokens,
                            const std::vector<std::string>& special);

/// Writes `to`, a folder with the tokenizer files of `from` and the tokens. Called by one rank. Throws Error(usage) for a GGUF
/// file, and Error(model) with the system's reason.
void write_tokenizer_with(const std::filesystem::path& from, const std::filesystem::path& to,
                          const std::vector<NewToken>& tokens);

}  // namespace lora_dist
