// Tokens kept from one run to the next: a file per dataset, options and tokenizer, named by what it was made of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "src/data/options.h"
#include "src/data/token_image.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// SHA-256 of all that the tokens depend on: the content of the data files (and the suffixes that say how they are read), the
/// options that matter, the files of the tokenizer and its chat template, the vocabulary's size, for a chat template that asks
/// for the date the day, and a number that is raised whenever this program tokenizes differently. No paths and no times of files.
/// Throws Error(data) for a data file, Error(model) for a tokenizer file that cannot be read.
std::string token_cache_key(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size);

/// The file of that key: its first 32 digits and ".tokens".
std::filesystem::path token_cache_file(const std::filesystem::path& folder, const std::string& key);

struct CachedTokens {
  std::optional<TokenStore> store;
  std::string problem;  // why a file that is there cannot be used; a sentence for a warning
};

/// Maps the file and checks all of it. Never throws for what is in it.
CachedTokens open_token_cache(const std::filesystem::path& file, const std::string& key);

/// Makes the folder, and the file whole or not at all. Throws Error.
void write_token_cache(const std::filesystem::path& file, std::span<const std::byte> image);

}  // namespace lora_dist
