// The token cache: one file per combination of dataset, options and tokenizer, named by a digest of these inputs.
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

/// SHA-256 of all inputs of tokenization: content and suffixes of the data files, the relevant options, the files of the
/// tokenizer and its chat template, the vocabulary's size, the day if the chat template uses the date, and this program's
/// tokenization version. It contains no paths and no file times. Throws Error(data) for a data file, Error(model) for a tokenizer
/// file that cannot be read.
std::string token_cache_key(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size);

/// The file name of a key: its first 32 digits and ".tokens".
std::filesystem::path token_cache_file(const std::filesystem::path& folder, const std::string& key);

struct CachedTokens {
  std::optional<TokenStore> store;
  std::string problem;  // why an existing file is unusable; a sentence for a warning
};

/// Maps and verifies the file. Does not throw for bad content.
CachedTokens open_token_cache(const std::filesystem::path& file, const std::string& key);

/// Makes the folder and writes the file atomically. Throws Error.
void write_token_cache(const std::filesystem::path& file, std::span<const std::byte> image);

}  // namespace lora_dist
